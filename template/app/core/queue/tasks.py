"""The declared jobs as tasks of Procrastinate, and when a failed one runs again."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from procrastinate import App, BaseRetryStrategy, JobContext, RetryDecision
from procrastinate.job_context import AbortReason
from procrastinate.jobs import Job as StoredJob
from psycopg.errors import RaiseException
from sqlalchemy import text

from app.core.database import engine
from app.core.db.failures import DATABASE_ERRORS
from app.core.jobs import Job, declared
from app.core.queue.connector import Connector

FREE_QUEUEING_LOCK = text(
    "UPDATE procrastinate_jobs SET queueing_lock = NULL WHERE id = :id"
)

logger = logging.getLogger(__name__)


class InterruptedJobError(Exception):
    """The worker stops before the job is done."""


class _Retry(BaseRetryStrategy):
    def __init__(self, attempts: int) -> None:
        self._attempts = attempts

    def get_retry_decision(
        self, *, exception: BaseException, job: StoredJob
    ) -> RetryDecision | None:
        """Return when to run the job again, or None to give it up."""
        if isinstance(exception, InterruptedJobError):
            return RetryDecision(retry_in={"seconds": 0})
        if job.attempts + 1 >= self._attempts:
            return None
        return RetryDecision(retry_in={"seconds": pause(job.attempts)})


def pause(attempts: int) -> int:
    """Return after how many seconds a job runs again, by how many attempts came before."""
    return min(5 * 3**attempts, 3600)


def make_queue(on_failure: Callable[[], None]) -> App:
    """Return the queue of all declared jobs.

    It calls `on_failure` when it could not store how a job ended.
    """
    queue = App(connector=Connector(on_failure))
    for job in declared.values():
        declare = queue.task(
            name=job.name, queue=job.name, retry=_Retry(job.attempts), pass_context=True
        )
        task = declare(_runs(job))
        if job.every:
            queue.periodic(cron=job.every)(task)
    return queue


def _runs(job: Job[...]) -> Callable[..., Any]:
    async def run(context: JobContext, /, **stored: Any) -> None:
        task = asyncio.current_task()
        assert context.job.id is not None
        assert task is not None
        task.add_done_callback(partial(_report_end, context.job))
        try:
            await job.run(context.job.id, context.job.attempts + 1, stored)
        except BaseException as error:
            if context.job.queueing_lock:
                # If it stays, and another waits with it, the job counts as that of a dead
                # worker.
                with suppress(*DATABASE_ERRORS):
                    await free_queueing_lock(context.job.id)
            if context.abort_reason() is AbortReason.SHUTDOWN:
                raise InterruptedJobError from error
            raise

    return run


def _report_end(job: StoredJob, task: asyncio.Task[None]) -> None:
    """Log that others have ended a job, such as one of a worker that seemed to be dead.

    The task fails if the end of its job cannot be stored. The library ignores the failure,
    and asyncio would log it as one that was never retrieved.
    """
    error = None if task.cancelled() else task.exception()
    if error is not None and isinstance(error.__cause__, RaiseException):
        about = {"job": job.task_name, "job_id": job.id, "attempt": job.attempts + 1}
        logger.warning("job was ended elsewhere", extra=about)


async def free_queueing_lock(id: int) -> None:
    """Forget the queueing lock of a job that is about to run again.

    Another one may wait with the same: then this one could not be stored to run again.
    """
    async with engine.begin() as connection:
        await connection.execute(FREE_QUEUEING_LOCK, {"id": id})
