"""Trace ids in the log, and few lines about a collector that does not respond."""

import logging
from time import monotonic

from opentelemetry import trace

SECONDS_BETWEEN_LINES = 60


class TraceIds(logging.Filter):
    """Adds the ids of the current trace and span to a line."""

    def filter(self, record: logging.LogRecord) -> bool:
        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            record.trace_id = trace.format_trace_id(context.trace_id)
            record.span_id = trace.format_span_id(context.span_id)
        return True


class OncePerMinute(logging.Filter):
    """Passes one line of OpenTelemetry a minute: without a collector, each batch logs one."""

    def __init__(self) -> None:
        super().__init__()
        self._next = -SECONDS_BETWEEN_LINES

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith("opentelemetry."):
            return True
        now = monotonic()
        if record.levelno < logging.WARNING or now < self._next:
            return False
        self._next = now + SECONDS_BETWEEN_LINES
        return True
