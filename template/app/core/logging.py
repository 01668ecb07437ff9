"""The log: colored lines in development, JSON in production, one format for all."""

import logging
import logging.config
import sys
from typing import TYPE_CHECKING, Any

from asgi_correlation_id import correlation_id

from app.core.config import settings
from app.core.json_log import JsonFormatter, add_extra

if TYPE_CHECKING:
    from structlog.typing import EventDict, WrappedLogger


def configure_logging() -> None:
    """Send the log of every library, uvicorn and SQLAlchemy too, through one formatter.

    Log with the standard library: entries of `extra` become fields.
    """
    is_development = settings.ENVIRONMENT == "development"
    level = logging.getLevelNamesMapping()[settings.LOG_LEVEL]
    warning = max(level, logging.WARNING)
    config: dict[str, Any] = {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "service": {"()": _colored_lines if is_development else JsonFormatter}
        },
        "handlers": {
            "stderr": {"class": "logging.StreamHandler", "formatter": "service"}
        },
        "root": {"level": level, "handlers": ["stderr"]},
    }
    logging.config.dictConfig(config)
    levels = {
        # The service writes a line for each request itself.
        "uvicorn.access": warning,
        "app": logging.DEBUG if settings.DEBUG else logging.NOTSET,
        "sqlalchemy.engine": logging.INFO if settings.DEBUG else warning,
        # SQLAlchemy logs under the name of the pool's class, which is ours.
        "app.core.db.pool": warning,
        # They announce what is not news to anybody.
        "alembic.runtime.plugins": warning,
        "watchfiles": warning,
    }
    # Not by dictConfig, which also resets every logger below one that it is given: a level
    # that a module of the service sets for itself would be lost.
    for name, least in levels.items():
        logging.getLogger(name).setLevel(least)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True


def _colored_lines() -> logging.Formatter:
    # Imported here because production does without it.
    import structlog

    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _add_request_id,
            _add_extra,
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),
        ],
    )


def _add_request_id(_: "WrappedLogger", __: str, event: "EventDict") -> "EventDict":
    if request_id := correlation_id.get():
        event["request_id"] = request_id
    return event


def _add_extra(_: "WrappedLogger", __: str, event: "EventDict") -> "EventDict":
    add_extra(event, event["_record"])
    return event
