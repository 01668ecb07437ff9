"""The jobs of workers that died: they run again, or are given up."""

import asyncio
import logging
from contextlib import suppress

from procrastinate import App, exceptions
from procrastinate.jobs import Job as StoredJob
from procrastinate.jobs import Status
from psycopg.errors import RaiseException
from sqlalchemy import text
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.core.database import engine
from app.core.jobs import declared
from app.core.queue.tasks import free_queueing_lock

# A worker reports three times within this time that it is alive. One that did not is dead,
# and others run its jobs again: within 45 seconds, with the pauses here and in `work`.
STALLED_SECONDS = 30
RESCUE_SECONDS = 5

LOCK = text("SELECT pg_try_advisory_xact_lock(7251838105)")

logger = logging.getLogger(__name__)


async def rescue_jobs(queue: App) -> None:
    """Look again and again for the jobs of workers that died."""
    task = asyncio.current_task()
    # Before Python 3.12, psycopg loses a cancellation that comes together with a reply.
    while task is not None and not task.cancelling():
        await asyncio.sleep(RESCUE_SECONDS)
        # Without a connection from the pool, for example while jobs hold them all, the next
        # attempt will do: an error here would interrupt the jobs of this worker.
        with suppress(PoolTimeoutError):
            async with engine.begin() as connection:
                # One worker at a time: another's list may name a job that runs again.
                if await connection.scalar(LOCK):
                    await _rescue_stalled_jobs(queue)


async def _rescue_stalled_jobs(queue: App) -> None:
    for stalled in await queue.job_manager.get_stalled_jobs(
        seconds_since_heartbeat=STALLED_SECONDS
    ):
        # A job of another release is left to that release, which knows its attempts.
        if job := declared.get(stalled.task_name):
            try:
                await _rescue(queue, stalled, job.attempts)
            except exceptions.ConnectorException as error:
                # It has ended meanwhile: its worker was only slow.
                if not isinstance(error.__cause__, RaiseException):
                    raise


async def _rescue(queue: App, stalled: StoredJob, attempts: int) -> None:
    assert stalled.id is not None
    manager, attempt = queue.job_manager, stalled.attempts + 1
    about = {"job": stalled.task_name, "job_id": stalled.id, "attempt": attempt}
    if attempt >= attempts:
        await manager.finish_job(stalled, status=Status.FAILED, delete_job=False)
        logger.error("job given up: its worker died", extra=about)
    else:
        await free_queueing_lock(stalled.id)
        await manager.retry_job(stalled)
        logger.warning("job runs again: its worker died", extra=about)
