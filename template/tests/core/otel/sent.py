"""The spans and metrics that were sent, for tests to read."""

from collections.abc import Iterator
from typing import Any

from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

Series = frozenset[tuple[str, Any]]


class Sent:
    """The spans and metrics since it was made or cleared.

    Attributes are written with underscores: `http_route` for `http.route`.
    """

    def __init__(
        self, exporter: InMemorySpanExporter, reader: InMemoryMetricReader
    ) -> None:
        self._exporter, self._reader = exporter, reader
        self.clear()

    def clear(self) -> None:
        """Forget what was sent until now."""
        self._exporter.clear()
        self._before = dict(self._measurements())

    def spans(self) -> list[ReadableSpan]:
        """Return the spans in the order in which they began."""
        spans = self._exporter.get_finished_spans()
        return sorted(spans, key=lambda span: span.start_time or 0)

    def tree(self) -> dict[str, list[str]]:
        """Return the names of the spans without a parent, and of those below them."""
        spans = self.spans()
        names = {span.context.span_id: span.name for span in spans}
        tree: dict[str, list[str]] = {}
        for span in spans:
            if span.parent is None:
                tree[span.name] = []
            else:
                tree[names[span.parent.span_id]].append(span.name)
        return tree

    def count(self, metric: str, **attributes: object) -> float:
        """Return by how much a counter grew, or how many measurements a histogram got."""
        return sum(
            number - self._before.get((name, series), 0)
            for (name, series), number in self._measurements()
            if name == metric and attributes.items() <= dict(series).items()
        )

    def value(self, metric: str, **attributes: object) -> float:
        """Return the current value of a metric, over all series with these attributes."""
        return sum(
            point.value
            for name, series, point in self._points()
            if name == metric and attributes.items() <= dict(series).items()
        )

    def maximum(self, metric: str) -> float:
        """Return the largest measurement of a histogram."""
        return max(point.max for name, _, point in self._points() if name == metric)

    def series(self, metric: str) -> set[Series]:
        """Return the combinations of attributes that a metric has."""
        return {series for name, series, _ in self._points() if name == metric}

    def text(self) -> str:
        """Return everything that was sent as one text, to search for values."""
        return "".join(span.to_json() for span in self.spans()) + "".join(
            f"{name} {sorted(series)}" for name, series, _ in self._points()
        )

    def _measurements(self) -> Iterator[tuple[tuple[str, Series], float]]:
        for name, series, point in self._points():
            yield (name, series), getattr(point, "count", getattr(point, "value", 0))

    def _points(self) -> Iterator[tuple[str, Series, Any]]:
        data = self._reader.get_metrics_data()
        for resource in data.resource_metrics if data else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    for point in metric.data.data_points:
                        given = (point.attributes or {}).items()
                        series = {(key.replace(".", "_"), part) for key, part in given}
                        yield metric.name, frozenset(series), point
