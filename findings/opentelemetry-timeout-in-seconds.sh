#!/usr/bin/env bash
# OpenTelemetry for Python 1.45.2: OTEL_EXPORTER_OTLP_TIMEOUT is in seconds.
#
# The specification gives it in milliseconds, with a default of 10000, and the SDKs of Java, Go
# and JavaScript read it so. Python reads seconds. A platform that sets the same 10000 for all
# its services gives those in Python almost three hours: with a collector that accepts
# connections and never responds, one export lasts that long, and what is recorded meanwhile
# is dropped. OTEL_METRIC_EXPORT_INTERVAL and OTEL_BSP_SCHEDULE_DELAY are in milliseconds in
# Python too.
#
# Seen on Python 3.11.7 with opentelemetry-exporter-otlp-proto-http 1.45.2: with the value 1,
# an export to such a collector failed after 1.0 s, and not after a millisecond.
#
# Exits with 1 if this is no longer so. Needs uv and a package index, nothing else.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv --quiet "$folder/venv"
uv pip install --quiet --python "$folder/venv/bin/python" \
    opentelemetry-sdk==1.45.2 opentelemetry-exporter-otlp-proto-http==1.45.2

OTEL_EXPORTER_OTLP_TIMEOUT=1 "$folder/venv/bin/python" - <<'PYTHON'
import logging
import socket
import time

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

logging.getLogger("opentelemetry").setLevel("CRITICAL")
# The kernel accepts the connection; nothing ever reads from it.
collector = socket.create_server(("127.0.0.1", 0))
port = collector.getsockname()[1]
exporter = OTLPSpanExporter(endpoint=f"http://127.0.0.1:{port}/v1/traces")
provider = TracerProvider(shutdown_on_exit=False)
provider.add_span_processor(SimpleSpanProcessor(exporter))

start = time.monotonic()
with provider.get_tracer("lamps").start_as_current_span("on"):
    pass
seconds = time.monotonic() - start
print(f"OTEL_EXPORTER_OTLP_TIMEOUT=1: the export failed after {seconds:.1f} s")
assert seconds > 0.9, seconds
PYTHON
