"""Jobs: functions that a worker runs once the transaction that enqueued them is committed.

A feature declares its jobs in `app/<feature>/jobs.py`. A job runs at least once: again
after an error, and if its worker was killed. `Run.key` lets its effects happen once.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from inspect import iscoroutinefunction, signature
from pathlib import Path
from types import FunctionType
from typing import Any, Concatenate, Generic, ParamSpec

from asgi_correlation_id import correlation_id
from pydantic import BaseModel, ConfigDict, create_model
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from structlog.contextvars import bound_contextvars
from uuid_utils.compat import uuid7

from app.core.database import async_session_factory
from app.core.db.failures import conflicting_fields, without_values
from app.core.db.types import to_json

P = ParamSpec("P")

APP = Path(__file__).parents[1]
# Each job has a queue of its own, so a worker takes only those that its release knows.
# PostgreSQL's channels, which announce a queue, leave so many bytes for its name.
MAX_NAME_BYTES = 40
REQUEST_ID, KEY = "_request_id", "_key"
ENQUEUE = text("""
    SELECT (procrastinate_defer_jobs_v1(ARRAY[ROW(
        :name, :name, :priority, NULL, :queueing_lock,
        CAST(:arguments AS jsonb), CAST(:schedule_at AS timestamptz)
    )::procrastinate_job_to_defer_v1]))[1]
""")

logger = logging.getLogger(__name__)
# The declared jobs by name.
declared: dict[str, "Job[...]"] = {}


class SelfCancelledError(Exception):
    """A job was cancelled, but not by its worker."""


@dataclass(frozen=True)
class Run:
    """One run of a job, with a session that is committed when the job returns.

    `attempt` is 1 in the first run. `key` is the same in every run of a job, and belongs
    to no other job: make it the primary key of what the job inserts, with ON CONFLICT DO
    NOTHING, or send it to another service as the idempotency key.
    """

    session: AsyncSession
    id: int
    attempt: int
    key: uuid.UUID


@dataclass(frozen=True)
class Call:
    """A job and its arguments, as `Job.call` returns them."""

    job: "Job[...]"
    arguments: BaseModel


class Job(Generic[P]):
    """A declared job; see `job`."""

    def __init__(
        self,
        function: Callable[Concatenate[Run, P], Awaitable[None]],
        *,
        name: str,
        attempts: int,
        every: str | None,
    ) -> None:
        self.function, self.name = function, name
        self.attempts, self.every = attempts, every
        self._signature = signature(function, eval_str=True)
        _, *parameters = self._signature.parameters.values()
        fields: dict[str, Any] = {
            parameter.name: (
                parameter.annotation,
                ... if parameter.default is parameter.empty else parameter.default,
            )
            for parameter in parameters
        }
        ignoring = ConfigDict(extra="ignore", protected_namespaces=())
        self._arguments = create_model(name, __config__=ignoring, **fields)

    def call(self, *args: P.args, **kwargs: P.kwargs) -> Call:
        """Return the job with arguments, to `enqueue` it.

        Raises ValidationError if an argument does not have its annotated type.
        """
        return self.stored_call(self._signature.bind(None, *args, **kwargs).arguments)

    def stored_call(self, stored: Mapping[str, Any]) -> Call:
        """Return the call that was stored, perhaps by another release.

        Arguments that this release does not know are ignored, and those that are missing
        have their defaults. Raises ValidationError.
        """
        return Call(self, self._arguments.model_validate(stored))

    async def run(self, id: int, attempt: int, stored: Mapping[str, Any]) -> None:
        """Run the job, and log how it ended. Raises what the job raises."""
        default_key = uuid.uuid5(uuid.NAMESPACE_OID, f"{self.name} {id}")
        key = uuid.UUID(stored.get(KEY)) if KEY in stored else default_key
        request = correlation_id.set(stored.get(REQUEST_ID))
        with bound_contextvars(job=self.name, job_id=id, attempt=attempt):
            start = time.perf_counter()
            try:
                arguments = vars(self.stored_call(stored).arguments)
                async with async_session_factory() as session:
                    await self.function(Run(session, id, attempt, key), **arguments)
                    await session.commit()
            except BaseException as error:
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    logger.info("job interrupted")
                    raise
                final = attempt >= self.attempts
                logger.log(
                    logging.ERROR if final else logging.WARNING,
                    "job given up" if final else "job failed",
                    exc_info=without_values(error)
                    if isinstance(error, Exception)
                    else error,
                )
                if isinstance(error, asyncio.CancelledError):
                    # The library would neither run the job again nor keep it as failed.
                    raise SelfCancelledError from error
                raise
            else:
                milliseconds = round(1000 * (time.perf_counter() - start), 1)
                logger.info("job done", extra={"duration_ms": milliseconds})
            finally:
                correlation_id.reset(request)


def job(
    *, name: str | None = None, attempts: int = 5, every: str | None = None
) -> Callable[[Callable[Concatenate[Run, P], Awaitable[None]]], Job[P]]:
    """Declare a job: an async function of a `Run` and of arguments with annotations.

    Its name is `<feature>.<function>` unless `name` gives another one: a job that is
    stored under a name waits until a release knows it. It is run up to `attempts` times,
    with pauses that grow from 5 seconds to an hour. `every` is a cron expression in UTC:
    then the workers together run it once each time, without arguments.
    """

    def declare(function: Callable[Concatenate[Run, P], Awaitable[None]]) -> Job[P]:
        if not isinstance(function, FunctionType) or not iscoroutinefunction(function):
            raise TypeError(f"{function!r} is not an async function, as a job must be.")
        feature = function.__module__.split(".")[-2:][0]
        full_name = name or f"{feature}.{function.__name__}"
        if len(full_name.encode()) > MAX_NAME_BYTES:
            raise ValueError(
                f"The job {full_name} has a name above {MAX_NAME_BYTES} bytes: "
                "give it a shorter one with @job(name=…)."
            )
        if full_name in declared:
            raise ValueError(f"There are two jobs with the name {full_name}.")
        new = Job(function, name=full_name, attempts=attempts, every=every)
        if every:
            from croniter import croniter  # Not needed by a service without schedules.

            new.call()  # Raises TypeError if an argument has no default.
            if not croniter.is_valid(every):
                raise ValueError(f"{every!r} of {full_name} is no cron expression.")
        declared[full_name] = new
        return new

    return declare


async def enqueue(
    session: AsyncSession,
    call: Call,
    *,
    schedule_at: datetime | None = None,
    queueing_lock: str | None = None,
    priority: int = 0,
) -> int | None:
    """Store a job in the transaction of a session, and return its id.

    A worker runs it once the transaction is committed, and not before `schedule_at`, which
    has a time zone; those of a higher priority first. With a queueing lock, nothing is
    stored, and None returned, while a job with the same one waits to be run.
    """
    arguments = call.arguments.model_dump(mode="json")
    context = {REQUEST_ID: correlation_id.get(), KEY: uuid7()}
    values = {
        "name": call.job.name,
        "priority": priority,
        "queueing_lock": queueing_lock,
        "schedule_at": schedule_at,
        "arguments": to_json({**arguments, **context}),
    }
    if schedule_at is not None and schedule_at.tzinfo is None:
        raise ValueError("schedule_at has no time zone.")
    if queueing_lock is None:
        return await session.scalar(ENQUEUE, values)
    try:
        async with session.begin_nested():
            return await session.scalar(ENQUEUE, values)
    except IntegrityError as error:
        if conflicting_fields(error) != ["queueing_lock"]:
            raise
        return None


def load_jobs() -> None:
    """Import the jobs of every feature, and those of the template."""
    import_module("app.models")
    import_module("app.core.old_keys")
    for path in sorted(APP.glob("*/jobs.py")):
        import_module(f"app.{path.parent.name}.jobs")
