"""The log: colored lines in development, JSON in production, one format for all."""

import logging
import logging.config
import sys
from typing import Any

import structlog
from asgi_correlation_id import correlation_id
from structlog.typing import EventDict, Processor, WrappedLogger

from app.core.config import settings


def configure_logging() -> None:
    """Send the log of every library, uvicorn and SQLAlchemy too, through one formatter.

    Log with the standard library: entries of `extra` become fields.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_request_id,
        _drop_color_message,
    ]
    last: list[Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(),
    ]
    if settings.ENVIRONMENT == "development":
        last[1:] = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    level = logging.getLevelNamesMapping()[settings.LOG_LEVEL]
    warning = max(level, logging.WARNING)
    quiet = {"handlers": [], "propagate": True}
    config: dict[str, Any] = {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "structlog": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": shared,
                "processors": last,
            }
        },
        "handlers": {
            "stderr": {"class": "logging.StreamHandler", "formatter": "structlog"}
        },
        "root": {"level": level, "handlers": ["stderr"]},
        "loggers": {
            "uvicorn": quiet,
            "uvicorn.error": quiet,
            # The service writes a line for each request itself.
            "uvicorn.access": {**quiet, "level": warning},
            "app": {"level": "DEBUG" if settings.DEBUG else "NOTSET"},
            "sqlalchemy.engine": {"level": "INFO" if settings.DEBUG else warning},
            # SQLAlchemy logs under the name of the pool's class, which is ours.
            "app.core.db.pool": {"level": warning},
            # They announce what is not news to anybody.
            "alembic.runtime.plugins": {"level": warning},
            "watchfiles": {"level": warning},
        },
    }
    logging.config.dictConfig(config)


def _drop_color_message(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    event.pop("color_message", None)  # uvicorn repeats its line with colors.
    return event


def _add_request_id(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    if request_id := correlation_id.get():
        event["request_id"] = request_id
    return event
