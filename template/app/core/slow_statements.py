"""Logs the statements that take long."""

import logging
from time import perf_counter
from typing import Any

from sqlalchemy import ExceptionContext, event
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.config import settings

logger = logging.getLogger(__name__)


def log_slow_statements(engine: AsyncEngine) -> None:
    """Log what takes longer than DB_SLOW_STATEMENT: the statement, never its values."""

    @event.listens_for(engine.sync_engine, "before_cursor_execute")
    def _(
        connection: Any, cursor: Any, sql: str, values: Any, context: Any, many: bool
    ) -> None:
        context.started = perf_counter()

    @event.listens_for(engine.sync_engine, "after_cursor_execute")
    def _(
        connection: Any, cursor: Any, sql: str, values: Any, context: Any, many: bool
    ) -> None:
        log_if_slow(sql, perf_counter() - context.started)

    # One that ran into a timeout too.
    @event.listens_for(engine.sync_engine, "handle_error")
    def _(context: ExceptionContext) -> None:
        started = getattr(context.execution_context, "started", None)
        if started is not None and context.statement is not None:
            log_if_slow(context.statement, perf_counter() - started)


def log_if_slow(sql: str, seconds: float) -> None:
    """Log a statement that took longer than DB_SLOW_STATEMENT."""
    if seconds >= settings.DB_SLOW_STATEMENT:
        logger.warning(
            "slow statement", extra={"sql": sql, "seconds": round(seconds, 3)}
        )
