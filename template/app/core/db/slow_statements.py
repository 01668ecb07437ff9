"""Logging of slow statements."""

import logging
from time import perf_counter
from typing import Any

from sqlalchemy import ExceptionContext, event
from sqlalchemy.ext.asyncio import AsyncEngine

logger = logging.getLogger(__name__)


def log_slow_statements(engine: AsyncEngine, seconds: float) -> None:
    """Log each statement that takes longer, without its values."""

    @event.listens_for(engine.sync_engine, "before_cursor_execute")
    def _(
        connection: Any, cursor: Any, sql: str, values: Any, context: Any, many: bool
    ) -> None:
        context.started = perf_counter()

    @event.listens_for(engine.sync_engine, "after_cursor_execute")
    def _(
        connection: Any, cursor: Any, sql: str, values: Any, context: Any, many: bool
    ) -> None:
        if (elapsed := perf_counter() - context.started) >= seconds:
            log_slow(sql, elapsed)

    # A statement that ran into a timeout is slow too.
    @event.listens_for(engine.sync_engine, "handle_error")
    def _(context: ExceptionContext) -> None:
        started = getattr(context.execution_context, "started", None)
        if started is None or context.statement is None:
            return
        if (elapsed := perf_counter() - started) >= seconds:
            log_slow(context.statement, elapsed)


def log_slow(sql: str, seconds: float) -> None:
    """Log a statement that took so many seconds."""
    logger.warning("slow statement", extra={"sql": sql, "seconds": round(seconds, 3)})
