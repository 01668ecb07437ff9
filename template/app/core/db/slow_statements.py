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
        log_if_slow(sql, perf_counter() - context.started, limit=seconds)

    # A statement that ran into a timeout is slow too.
    @event.listens_for(engine.sync_engine, "handle_error")
    def _(context: ExceptionContext) -> None:
        started = getattr(context.execution_context, "started", None)
        if started is not None and context.statement is not None:
            log_if_slow(context.statement, perf_counter() - started, limit=seconds)


def log_if_slow(sql: str, seconds: float, *, limit: float) -> None:
    """Log a statement that took longer than the limit."""
    if seconds >= limit:
        logger.warning(
            "slow statement", extra={"sql": sql, "seconds": round(seconds, 3)}
        )
