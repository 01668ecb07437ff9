"""Runs the declared jobs with Procrastinate, on connections and a driver of its own."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from procrastinate import (
    App,
    BaseRetryStrategy,
    JobContext,
    PsycopgConnector,
    RetryDecision,
    exceptions,
)
from procrastinate.job_context import AbortReason
from procrastinate.jobs import Job as StoredJob
from procrastinate.jobs import Status
from psycopg.errors import RaiseException
from sqlalchemy import text

from app.core.config import settings
from app.core.database import engine
from app.core.jobs import Job, declared

logger = logging.getLogger(__name__)

# Those of the pool; one more listens for new jobs.
CONNECTIONS = 2
# A worker reports three times in this time that it lives. One that did not is dead, and
# others run its jobs again: within 45 seconds, with the pauses below.
STALLED_SECONDS = 30
RESCUE_SECONDS = 5
# Jobs that are due later, or again, are found by asking.
POLL_SECONDS = 2
RECONNECT_SECONDS = 1

RESCUE_LOCK = text("SELECT pg_try_advisory_xact_lock(7251838105)")
FREE_QUEUEING_LOCK = text(
    "UPDATE procrastinate_jobs SET queueing_lock = NULL WHERE id = :id"
)


# What it says is in the log of the jobs, without their arguments. Its worker is named
# "worker", and reports errors of its own.
QUIET = {
    "procrastinate": logging.WARNING,
    "procrastinate.worker": logging.CRITICAL,
    "procrastinate.worker.worker": logging.WARNING,
    "psycopg.pool": logging.ERROR,
}


class InterruptedJobError(Exception):
    """The worker stops before the job is done."""


class _Connector(PsycopgConnector):
    """Reports a statement that failed, such as one to store how a job ended.

    That job would count as running for as long as this worker lives.
    """

    def __init__(self, on_failure: Callable[[], None], **options: Any) -> None:
        super().__init__(**options)
        self._on_failure = on_failure

    async def execute_query_async(self, query: Any, **arguments: Any) -> None:
        try:
            await super().execute_query_async(query, **arguments)
        except exceptions.ConnectorException as error:
            # The library's functions raise if somebody else has ended the job.
            if not isinstance(error.__cause__, RaiseException):
                self._on_failure()
            raise


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
    """Return after how many seconds a job runs again that failed once more than that."""
    return min(5 * 3**attempts, 3600)


def _connection_parameters() -> dict[str, Any]:
    """Return the database of the settings in the words of libpq."""
    _, target = engine.dialect.create_connect_args(settings.DATABASE_URL)
    target.pop("prepared_statement_cache_size", None)
    target.pop("servicefile", None)
    names = {"database": "dbname", "ssl": "sslmode"}
    parameters = {names.get(name, name): value for name, value in target.items()}
    if parameters.pop("direct_tls", None):
        parameters["sslnegotiation"] = "direct"
    for name in ("host", "port"):
        if isinstance(parameters.get(name), list):
            parameters[name] = ",".join(map(str, parameters[name]))
    milliseconds = int(settings.DB_STATEMENT_TIMEOUT * 1000)
    parameters["connect_timeout"] = max(2, round(settings.DB_CONNECT_TIMEOUT))
    if settings.DB_PGBOUNCER:
        return {**parameters, "prepare_threshold": None}
    return {
        **parameters,
        "application_name": f"{settings.APP_TITLE} worker",
        "options": f"-c statement_timeout={milliseconds}",
    }


def _queue(on_failure: Callable[[], None]) -> App:
    connector = _Connector(
        on_failure,
        kwargs=_connection_parameters(),
        min_size=1,
        max_size=CONNECTIONS,
        timeout=settings.DB_CONNECT_TIMEOUT + settings.DB_POOL_TIMEOUT,
    )
    queue = App(connector=connector)
    for job in declared.values():
        declare = queue.task(
            name=job.name, queue=job.name, retry=_Retry(job.attempts), pass_context=True
        )
        task = declare(_runs(job))
        if job.every:
            queue.periodic(cron=job.every)(task)
    return queue


def _runs(job: Job[...]) -> Callable[..., Any]:
    async def run(context: JobContext, **stored: Any) -> None:
        assert context.job.id is not None
        try:
            if context.job.queueing_lock:
                await _free_queueing_lock(context.job.id)
            await job.run(context.job.id, context.job.attempts + 1, stored)
        except BaseException as error:
            if context.abort_reason() is AbortReason.SHUTDOWN:
                raise InterruptedJobError from error
            raise

    return run


async def _free_queueing_lock(id: int) -> None:
    """Forget the queueing lock of a job that runs.

    Another one may wait with the same: then this one could not be stored to run again.
    """
    async with engine.begin() as connection:
        await connection.execute(FREE_QUEUEING_LOCK, {"id": id})


async def work(stopping: asyncio.Event, *, grace: float) -> None:
    """Run jobs until `stopping` is set; when the database is lost, connect again.

    The jobs that still run then have `grace` seconds to end. Others are interrupted, and
    run again elsewhere.
    """
    for name, level in QUIET.items():
        logging.getLogger(name).setLevel(level)
    logger.info("worker starts", extra={"jobs": [*declared]})
    while not stopping.is_set():
        failed = asyncio.Event()
        session = asyncio.create_task(_session(_queue(failed.set), grace))
        ends = [asyncio.create_task(each.wait()) for each in (stopping, failed)]
        await asyncio.wait([session, *ends], return_when=asyncio.FIRST_COMPLETED)
        for task in (session, *ends):
            task.cancel()
        (result, *_) = await asyncio.gather(session, *ends, return_exceptions=True)
        if not stopping.is_set():
            logger.warning("worker starts again", extra={"reason": _reason(result)})
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), RECONNECT_SECONDS)
    logger.info("worker stopped")


def _reason(result: object) -> str:
    while isinstance(result, BaseExceptionGroup):
        (result, *_) = result.exceptions
    cause = getattr(result, "__cause__", None)
    return str(cause or result).strip()


async def _session(queue: App, grace: float) -> None:
    try:
        await queue.open_async()
        async with asyncio.TaskGroup() as group:
            group.create_task(_run_jobs(queue, grace))
            group.create_task(_rescue_jobs(queue))
    finally:
        await queue.close_async()


async def _run_jobs(queue: App, grace: float) -> None:
    await queue.run_worker_async(
        queues=[*declared],
        concurrency=settings.JOB_CONCURRENCY,
        # Nothing announces a job through a PgBouncer.
        listen_notify=not settings.DB_PGBOUNCER,
        fetch_job_polling_interval=POLL_SECONDS,
        shutdown_graceful_timeout=grace,
        update_heartbeat_interval=STALLED_SECONDS / 3,
        stalled_worker_timeout=STALLED_SECONDS,
        # How a job ended is in the log; only jobs that were given up stay.
        delete_jobs="successful",
        install_signal_handlers=False,
    )
    raise ConnectionError("the database was lost")


async def _rescue_jobs(queue: App) -> None:
    while True:
        await asyncio.sleep(RESCUE_SECONDS)
        async with engine.begin() as connection:
            # One worker at a time: another's list may name a job that runs again by now.
            if await connection.scalar(RESCUE_LOCK):
                await _rescue_stalled_jobs(queue)


async def _rescue_stalled_jobs(queue: App) -> None:
    manager = queue.job_manager
    for stalled in await manager.get_stalled_jobs(
        seconds_since_heartbeat=STALLED_SECONDS
    ):
        if not (job := declared.get(stalled.task_name)):
            continue  # One of another release, which knows how often to try.
        attempt = stalled.attempts + 1
        about = {"job": job.name, "job_id": stalled.id, "attempt": attempt}
        assert stalled.id is not None
        if attempt >= job.attempts:
            await manager.finish_job(stalled, status=Status.FAILED, delete_job=False)
            logger.error("job given up: its worker died", extra=about)
        else:
            await _free_queueing_lock(stalled.id)
            await manager.retry_job(stalled)
            logger.warning("job runs again: its worker died", extra=about)
