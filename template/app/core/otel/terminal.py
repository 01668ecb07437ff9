"""The spans of each request in the terminal, for development."""

import sys
from typing import TextIO

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import INVALID_SPAN_CONTEXT, format_trace_id


class SpansInTerminal(SpanProcessor):
    """Prints the spans of a request and their durations when the request ends."""

    def __init__(self, file: TextIO = sys.stderr) -> None:
        self._file = file
        # Of the requests that have not ended.
        self._children: dict[int, list[ReadableSpan]] = {}

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        if _is_first(span):
            self._children.setdefault(_trace_id(span), [])

    def on_end(self, span: ReadableSpan) -> None:
        trace_id = _trace_id(span)
        if not _is_first(span) and trace_id in self._children:
            self._children[trace_id].append(span)
            return
        # The first, or one of a background task, which ends after its request.
        lines = [f"{_summary(span)}  trace {format_trace_id(trace_id)}"]
        if _is_first(span):
            children = self._children.pop(trace_id, [])
            lines += [f"  {_summary(each)}" for each in children]
        print(*lines, sep="\n", file=self._file, flush=True)


def _is_first(span: ReadableSpan) -> bool:
    return span.parent is None or span.parent.is_remote


def _trace_id(span: ReadableSpan) -> int:
    return (span.get_span_context() or INVALID_SPAN_CONTEXT).trace_id


def _summary(span: ReadableSpan) -> str:
    attributes = span.attributes or {}
    state = attributes.get("db.response.status_code") or attributes.get("error.type")
    words = [
        span.name,
        attributes.get("http.response.status_code"),
        state,
        *(event.name for event in span.events),
    ]
    milliseconds = ((span.end_time or 0) - (span.start_time or 0)) / 1e6
    return f"{' '.join(str(word) for word in words if word)}  {milliseconds:.1f} ms"
