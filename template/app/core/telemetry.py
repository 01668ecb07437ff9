"""Sends traces and metrics to the destinations in the variables of OpenTelemetry."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Container
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

from fastapi import FastAPI
from opentelemetry import propagate

from app.core.config import settings
from app.core.database import engine, read_engine
from app.core.db.pool import FairPool
from app.core.otel.environment import is_wanted, warn_of_unsupported
from app.core.otel.logs import OncePerMinute, TraceIds
from app.core.otel.loop_lag import watch_loop
from app.core.otel.pools import MeasuredPool, measure_connecting, observe
from app.core.otel.requests import trace_requests


def add_telemetry(app: FastAPI, *, exclude: Container[str | None]) -> None:
    """Trace and measure an application, if the environment names a destination.

    Requests for the paths in `exclude` are left out. The log must be configured before.
    """
    warn_of_unsupported()
    if not is_wanted():
        return
    # SQLAlchemy logs under the name of the pool's class.
    level = logging.getLogger(FairPool.__module__).level
    logging.getLogger(MeasuredPool.__module__).setLevel(level)
    for handler in logging.getLogger().handlers:
        handler.addFilter(TraceIds())
        handler.addFilter(OncePerMinute())
    trace_requests(app, exclude=exclude)
    flush_at_shutdown(app, start())


@cache
def start() -> Callable[[], None]:
    """Set up OpenTelemetry once in a process, and return a function to flush it."""
    # Not even imported if telemetry has no destination.
    from app.core.otel.providers import Providers

    providers = Providers(name=settings.APP_TITLE, version=settings.APP_VERSION)
    # Without a replica, both have the same pool.
    pooled = {each.sync_engine.pool: each for each in (engine, read_engine)}
    for each in pooled.values():
        measure_connecting(each)
    observe([*pooled.values()])
    return providers.flush


def flush_at_shutdown(app: FastAPI, flush: Callable[[], None]) -> None:
    """Watch the event loop while an application runs, and flush when it stops."""
    lifespan = app.router.lifespan_context

    @asynccontextmanager
    async def measured(app: FastAPI) -> AsyncGenerator[Any]:
        watch = asyncio.create_task(watch_loop())
        try:
            async with lifespan(app) as state:
                yield state
        finally:
            watch.cancel()
            await asyncio.to_thread(flush)

    app.router.lifespan_context = measured


async def continue_trace(request: Any) -> None:
    """Let the service that is called continue the trace: a request hook of httpx2."""
    propagate.inject(request.headers)
