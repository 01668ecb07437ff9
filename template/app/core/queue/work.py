"""Runs the jobs of the queue, whatever happens to the database."""

import asyncio
import logging
from contextlib import suppress

from procrastinate import App, exceptions
from procrastinate.worker import Worker

from app.core.config import settings
from app.core.database import engine
from app.core.db.failures import driver_error
from app.core.jobs import declared
from app.core.queue.stalled import STALLED_SECONDS, rescue_jobs
from app.core.queue.tasks import make_queue

logger = logging.getLogger(__name__)

# Jobs that are due later, or again, are found by asking.
POLL_SECONDS = 2
RECONNECT_SECONDS = 2
HEARTBEAT_SECONDS = STALLED_SECONDS / 3
# What it says is in the log of the jobs, without their arguments. Its worker is named
# "worker", and reports errors of its own.
QUIET = {
    "procrastinate": logging.WARNING,
    "procrastinate.utils": logging.CRITICAL,
    "procrastinate.worker": logging.CRITICAL,
    "procrastinate.worker.worker": logging.CRITICAL,
    "psycopg.pool": logging.ERROR,
}


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
        session = asyncio.create_task(_session(make_queue(failed.set), grace))
        ends = [asyncio.create_task(each.wait()) for each in (stopping, failed)]
        await asyncio.wait([session, *ends], return_when=asyncio.FIRST_COMPLETED)
        for task in (session, *ends):
            task.cancel()
        (result, *_) = await asyncio.gather(session, *ends, return_exceptions=True)
        if stopping.is_set():
            break
        logger.warning("worker connects again", extra={"reason": _reason(result)})
        with suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), RECONNECT_SECONDS)
    logger.info("worker stopped")


def _reason(result: object) -> str:
    while isinstance(result, BaseExceptionGroup):
        (result, *_) = result.exceptions
    if not isinstance(result, Exception):
        return "how a job ended could not be stored"
    # Procrastinate's own errors wrap those of psycopg.
    return str(driver_error(result.__cause__ or result)).strip()


async def _session(queue: App, grace: float) -> None:
    async with engine.connect():
        pass  # Says at once why it cannot, which the pool of psycopg does not.
    try:
        await queue.open_async()
        async with asyncio.TaskGroup() as group:
            group.create_task(_run_jobs(queue, grace))
            group.create_task(rescue_jobs(queue))
    finally:
        await queue.close_async()


async def _run_jobs(queue: App, grace: float) -> None:
    worker = Worker(
        queue,
        queues=[*declared],
        concurrency=settings.JOB_CONCURRENCY,
        # Nothing announces a job through a PgBouncer.
        listen_notify=not settings.DB_PGBOUNCER,
        fetch_job_polling_interval=POLL_SECONDS,
        shutdown_graceful_timeout=grace,
        update_heartbeat_interval=HEARTBEAT_SECONDS,
        stalled_worker_timeout=STALLED_SECONDS,
        # How a job ended is in the log; only jobs that were given up stay.
        delete_jobs="successful",
        install_signal_handlers=False,
    )
    living = asyncio.create_task(_stay_alive(queue, worker))
    try:
        await worker.run()
    finally:
        living.cancel()
    raise ConnectionError("the connection was lost")


async def _stay_alive(queue: App, worker: Worker) -> None:
    """Report that the worker is alive until its last job has ended.

    The library's own reports end before it waits for the last jobs, and then other workers
    would run these too (procrastinate-org/procrastinate#1585).
    """
    task = asyncio.current_task()
    # As in `rescue_jobs`, a cancellation may be lost.
    while task is not None and not task.cancelling():
        await asyncio.sleep(HEARTBEAT_SECONDS)
        if worker.worker_id is not None:
            # Without a connection, the next report will do.
            with suppress(exceptions.ConnectorException):
                await queue.job_manager.update_heartbeat(worker.worker_id)
