"""The SDK of OpenTelemetry, imported only if telemetry has a destination."""

import logging
import os
import threading
from collections.abc import Sequence
from time import monotonic

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

from app.core.otel.environment import exporters
from app.core.otel.values import WithoutValues

# Added to the time that the service takes to stop.
FLUSH_SECONDS = 2

logger = logging.getLogger(__name__)


class Providers:
    """Sends the traces and metrics of this process; there can be only one.

    `name` and `version` describe the service, unless the environment does.
    """

    def __init__(self, *, name: str, version: str) -> None:
        resource = Resource.create(
            {
                "service.name": name,
                "service.version": version,
                **OTELResourceDetector().detect().attributes,
            }
        )
        # At exit they would wait for a collector that does not respond: 51 s were measured.
        self._meters = MeterProvider(_readers(), resource, shutdown_on_exit=False)
        if exporters("METRICS"):
            metrics.set_meter_provider(self._meters)
        self._tracers = tracer_provider(resource, _processors())
        if exporters("TRACES"):
            trace.set_tracer_provider(self._tracers)

    def flush(self) -> None:
        """Send the remaining telemetry, for two seconds at most."""
        # The timeouts of these functions do not hold.
        threads = [
            threading.Thread(target=flush, daemon=True)
            for flush in (self._meters.force_flush, self._tracers.force_flush)
        ]
        for thread in threads:
            thread.start()
        deadline = monotonic() + FLUSH_SECONDS
        for thread in threads:
            thread.join(max(0, deadline - monotonic()))


def tracer_provider(
    resource: Resource, processors: Sequence[SpanProcessor]
) -> TracerProvider:
    """Return a provider whose spans contain no values of clients."""
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    # Around the one that OTEL_TRACES_SAMPLER names.
    provider.sampler = WithoutValues(provider.sampler)
    for processor in processors:
        provider.add_span_processor(processor)
    return provider


def _processors() -> list[SpanProcessor]:
    processors: list[SpanProcessor] = []
    if "otlp" in exporters("TRACES"):
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        processors.append(BatchSpanProcessor(OTLPSpanExporter()))
    if "console" in exporters("TRACES"):
        from app.core.otel.terminal import SpansInTerminal

        processors.append(SpansInTerminal())
    return processors


def _readers() -> list[MetricReader]:
    readers: list[MetricReader] = []
    if "otlp" in exporters("METRICS"):
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import (
            OTLPMetricExporter,
        )
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

        readers.append(PeriodicExportingMetricReader(OTLPMetricExporter()))
    if "prometheus" in exporters("METRICS"):
        from opentelemetry.exporter.prometheus import PrometheusMetricReader
        from prometheus_client import start_http_server

        host = os.environ.get("OTEL_EXPORTER_PROMETHEUS_HOST") or "localhost"
        port = os.environ.get("OTEL_EXPORTER_PROMETHEUS_PORT") or "9464"
        try:
            start_http_server(int(port), host)
        except (OSError, OverflowError, ValueError) as error:
            logger.warning("no metrics on port %s: %s", port, error)
        else:
            readers.append(PrometheusMetricReader(scope_info_enabled=False))
    return readers
