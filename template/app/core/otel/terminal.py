"""The spans of each request in the terminal, for development."""

import sys
from collections import defaultdict
from typing import TextIO

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.trace import INVALID_SPAN_CONTEXT, format_trace_id


class SpansInTerminal(SpanProcessor):
    """Prints the spans of a request and their durations when the request ends."""

    def __init__(self, file: TextIO = sys.stderr) -> None:
        self._file = file
        self._children: defaultdict[int, list[ReadableSpan]] = defaultdict(list)

    def on_end(self, span: ReadableSpan) -> None:
        trace_id = (span.get_span_context() or INVALID_SPAN_CONTEXT).trace_id
        if span.parent is not None and not span.parent.is_remote:
            self._children[trace_id].append(span)
            return
        lines = [f"{_summary(span)}  trace {format_trace_id(trace_id)}"]
        lines += [f"  {_summary(each)}" for each in self._children.pop(trace_id, [])]
        print(*lines, sep="\n", file=self._file, flush=True)


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
