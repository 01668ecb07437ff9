"""Spans and durations of jobs, and how many are due or were given up."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from functools import wraps
from time import perf_counter
from typing import Any, Protocol, TypeVar

from opentelemetry import metrics, trace
from opentelemetry.trace import Link, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.db.failures import DATABASE_ERRORS
from app.core.otel.environment import is_wanted
from app.core.otel.spans import Attributes, tracer

INTERVAL_SECONDS = 15
# Of jobs, which take longer than requests.
BOUNDARIES = [0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60, 300, 1800]
TRACEPARENT = "traceparent"
# The name under which it is stored, beside the arguments of a job.
TRACE = "_trace"
WAITING = text("""
    SELECT
        task_name,
        count(*) FILTER (WHERE is_due),
        coalesce(extract(epoch FROM now() - min(since) FILTER (WHERE is_due)), 0),
        count(*) FILTER (WHERE status = 'failed')
    FROM (
        SELECT
            task_name,
            status,
            status = 'todo' AND coalesce(scheduled_at <= now(), true) AS is_due,
            coalesce(scheduled_at, stored.at) AS since
        FROM procrastinate_jobs AS job
        LEFT JOIN procrastinate_events AS stored
            ON stored.job_id = job.id AND stored.type = 'deferred'
        WHERE status IN ('todo', 'failed')
    ) AS jobs
    GROUP BY task_name
""")

propagator = TraceContextTextMapPropagator()
meter = metrics.get_meter("app")
duration = meter.create_histogram(
    "app.job.duration",
    unit="s",
    description="Duration of one run of a job.",
    explicit_bucket_boundaries_advisory=BOUNDARIES,
)
due = meter.create_gauge(
    "app.job.due", unit="{job}", description="Jobs that a worker should run by now."
)
oldest_due = meter.create_gauge(
    "app.job.oldest_due",
    unit="s",
    description="The time since the oldest of these was due.",
)
failed = meter.create_gauge(
    "app.job.failed", unit="{job}", description="Jobs that were given up."
)


class Named(Protocol):
    """A job."""

    name: str


J = TypeVar("J", bound=Named)
Method = Callable[[J, int, int, Mapping[str, Any]], Awaitable[None]]


def current_trace() -> str | None:
    """Return the `traceparent` of the current trace, to be stored with a job."""
    carrier: dict[str, str] = {}
    propagator.inject(carrier)
    return carrier.get(TRACEPARENT)


def measured(*, request_key: str) -> Callable[[Method[J]], Method[J]]:
    """Let each run of a job have a span, linked to the request that enqueued it."""
    return lambda run: _measured(run, request_key)


def _measured(run: Method[J], request_key: str) -> Method[J]:
    @wraps(run)
    async def measure(job: J, id: int, attempt: int, stored: Mapping[str, Any]) -> None:
        about: Attributes = {"app.job.name": job.name}
        on_span = {**about, "app.job.id": id, "app.job.attempt": attempt}
        if request_id := stored.get(request_key):
            on_span["app.request_id"] = request_id
        start = perf_counter()
        with tracer.start_as_current_span(
            job.name,
            kind=SpanKind.CONSUMER,
            links=_links(stored.get(TRACE)),
            attributes=on_span,
            # The text of an exception may contain values.
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                await run(job, id, attempt, stored)
            except BaseException as error:
                about["error.type"] = type(error).__qualname__
                span.set_attributes(about)
                span.set_status(StatusCode.ERROR)
                raise
            finally:
                duration.record(perf_counter() - start, about)

    return measure


def _links(traceparent: str | None) -> list[Link]:
    context = propagator.extract({TRACEPARENT: traceparent} if traceparent else {})
    origin = trace.get_current_span(context).get_span_context()
    return [Link(origin)] if origin.is_valid else []


@asynccontextmanager
async def watching_jobs(
    engine: AsyncEngine, names: Collection[str]
) -> AsyncGenerator[None]:
    """Report how many jobs of these names are due or were given up, as each worker does."""
    watch = asyncio.create_task(_watch(engine, names))
    try:
        yield
    finally:
        watch.cancel()


async def _watch(engine: AsyncEngine, names: Collection[str]) -> None:
    while is_wanted():
        # The worker itself logs that the database is lost.
        with suppress(*DATABASE_ERRORS):
            await _report(engine, names)
        await asyncio.sleep(INTERVAL_SECONDS)


async def _report(engine: AsyncEngine, names: Collection[str]) -> None:
    async with engine.connect() as connection:
        rows = await connection.execute(WAITING)
    found = {name: numbers for name, *numbers in rows}
    for name in names:
        numbers = found.get(name, (0, 0, 0))
        for gauge, number in zip((due, oldest_due, failed), numbers, strict=True):
            gauge.set(float(number), {"app.job.name": name})
