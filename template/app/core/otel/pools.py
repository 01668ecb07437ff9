"""Spans and metrics of pools of connections."""

from collections.abc import Iterable, Sequence
from time import perf_counter
from typing import Any

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.trace import SpanKind
from sqlalchemy import Dialect, event
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import ConnectionPoolEntry, Pool

from app.core.db.pool import FairPool
from app.core.otel.spans import BOUNDARIES, Attributes, failure, record_span

meter = metrics.get_meter("app")
wait_time = meter.create_histogram(
    "db.client.connection.wait_time",
    unit="s",
    description="The time it took to obtain an open connection from the pool.",
    explicit_bucket_boundaries_advisory=BOUNDARIES,
)
create_time = meter.create_histogram(
    "db.client.connection.create_time",
    unit="s",
    description="The time it took to create a new connection.",
    explicit_bucket_boundaries_advisory=BOUNDARIES,
)
pending = meter.create_up_down_counter(
    "db.client.connection.pending_requests",
    unit="{request}",
    description="The number of current pending requests for an open connection.",
)
timeouts = meter.create_counter(
    "db.client.connection.timeouts",
    unit="{timeout}",
    description="The number of connection timeouts while waiting for the pool.",
)


class MeasuredPool(FairPool):
    """A pool that measures the requests that wait for a connection."""

    def _do_get(self) -> ConnectionPoolEntry:
        if self.checkedin() or self.overflow() < self._max_overflow:
            return super()._do_get()
        name = name_of(self)
        timeout: PoolTimeoutError | None = None
        pending.add(1, name)
        start = perf_counter()
        try:
            return super()._do_get()
        except PoolTimeoutError as error:
            timeouts.add(1, name)
            timeout = error
            raise
        finally:
            seconds = perf_counter() - start
            pending.add(-1, name)
            wait_time.record(seconds, name)
            record_span("wait", seconds, name, kind=SpanKind.INTERNAL, error=timeout)


def measure_connecting(engine: AsyncEngine) -> None:
    """Measure how long the connections of an engine take to be opened."""
    name = name_of(engine.sync_engine.pool)

    @event.listens_for(engine.sync_engine, "do_connect")
    def _(dialect: Dialect, _: Any, args: list[Any], options: dict[str, Any]) -> Any:
        start = perf_counter()
        try:
            connection = dialect.connect(*args, **options)
        except BaseException as error:
            seconds, failed = perf_counter() - start, name | failure(error)
            record_span("connect", seconds, failed, error=error)
            raise
        seconds = perf_counter() - start
        create_time.record(seconds, name)
        record_span("connect", seconds, name)
        return connection


def observe(engines: Sequence[AsyncEngine]) -> None:
    """Report the connections of the engines, whenever the metrics are collected."""

    def count(_: CallbackOptions) -> Iterable[Observation]:
        for pool in _pools(engines):
            numbers = {"used": pool.checkedout(), "idle": pool.checkedin()}
            for state, number in numbers.items():
                in_state = {"db.client.connection.state": state}
                yield Observation(number, name_of(pool) | in_state)

    def maximum(_: CallbackOptions) -> Iterable[Observation]:
        for pool in _pools(engines):
            yield Observation(pool.size() + pool._max_overflow, name_of(pool))

    for pool in _pools(engines):
        # A rate sees the first timeout only if there was a zero before it.
        timeouts.add(0, name_of(pool))
        pending.add(0, name_of(pool))
    meter.create_observable_up_down_counter(
        "db.client.connection.count",
        [count],
        unit="{connection}",
        description="The number of connections in a state.",
    )
    meter.create_observable_up_down_counter(
        "db.client.connection.max",
        [maximum],
        unit="{connection}",
        description="The maximum number of open connections allowed.",
    )


def name_of(pool: Pool) -> Attributes:
    """Return the attribute that names a pool."""
    return {"db.client.connection.pool.name": pool.logging_name or ""}


def _pools(engines: Sequence[AsyncEngine]) -> Iterable[Any]:
    # An engine has another pool after its dispose().
    return (engine.sync_engine.pool for engine in engines)
