"""Spans of operations that have just ended."""

from collections.abc import Mapping
from time import time_ns

from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.util.types import AttributeValue

Attributes = dict[str, AttributeValue]

# Seconds, for histograms of the operations that a request waits for.
BOUNDARIES = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10]

tracer = trace.get_tracer("app")


def record_span(
    name: str,
    seconds: float,
    attributes: Mapping[str, AttributeValue],
    *,
    kind: SpanKind = SpanKind.CLIENT,
    error: BaseException | None = None,
) -> None:
    """Add a span that ends now to the current one, if that is recorded.

    Made afterwards, it costs nothing in the many requests that are not sampled.
    """
    if not trace.get_current_span().is_recording():
        return
    end = time_ns()
    start = end - int(seconds * 1e9)
    span = tracer.start_span(name, kind=kind, attributes=attributes, start_time=start)
    if error is not None:
        span.set_status(StatusCode.ERROR)
    span.end(end)


def failure(error: BaseException) -> Attributes:
    """Return the type of an error and its SQLSTATE: its text would show values."""
    state = getattr(error, "sqlstate", None)
    status = {"db.response.status_code": state} if state else {}
    return {"error.type": type(error).__qualname__, **status}
