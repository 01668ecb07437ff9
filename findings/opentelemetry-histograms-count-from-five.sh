#!/usr/bin/env bash
# OpenTelemetry SDK 1.45.2: the first bucket of a histogram in seconds is five seconds wide.
#
# A histogram that says nothing of its buckets gets 0, 5, 10, 25 … 10000, whatever its unit. They
# suit milliseconds, but the semantic conventions ask for seconds. So durations of 10 and of 900
# milliseconds are in the same bucket, and from it Prometheus computes a median of 2.5 seconds and
# a 99th percentile of 4.95, both plausible and both invented. The Histogram of prometheus_client
# has 0.005 to 10 instead. The way out is `explicit_bucket_boundaries_advisory`, or a View.
#
# Seen on Python 3.11.7 with opentelemetry-sdk 1.45.2 and prometheus-client 0.26.0, for 0.01, 0.05
# and 0.9 seconds:
#   OpenTelemetry:     3 up to 5.0
#   prometheus_client: 1 up to 0.01, 1 up to 0.05, 1 up to 1.0
#
# Exits with 1 if this is no longer so. Needs uv and a package index, nothing else.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv --quiet "$folder/venv"
uv pip install --quiet --python "$folder/venv/bin/python" \
    opentelemetry-sdk==1.45.2 prometheus-client==0.26.0

"$folder/venv/bin/python" - <<'PYTHON'
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client import CollectorRegistry, Histogram

SECONDS = [0.01, 0.05, 0.9]

reader = InMemoryMetricReader()
meter = MeterProvider(metric_readers=[reader]).get_meter("test")
histogram = meter.create_histogram("import.duration", unit="s")
other = Histogram("import_seconds", "", registry=CollectorRegistry())
for seconds in SECONDS:
    histogram.record(seconds)
    other.observe(seconds)

metrics = reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics
(point,) = metrics[0].data.data_points
of_opentelemetry = [
    (count, bound)
    for count, bound in zip(point.bucket_counts, point.explicit_bounds, strict=False)
    if count
]
buckets = [s for s in next(iter(other.collect())).samples if s.name.endswith("_bucket")]
of_prometheus, before = [], 0
for sample in buckets:
    if sample.value > before:
        of_prometheus.append((int(sample.value - before), float(sample.labels["le"])))
    before = sample.value


def words(filled):
    return ", ".join(f"{count} up to {bound}" for count, bound in filled)


print("OpenTelemetry:    ", words(of_opentelemetry))
print("prometheus_client:", words(of_prometheus))
assert of_opentelemetry == [(3, 5.0)]
assert of_prometheus == [(1, 0.01), (1, 0.05), (1, 1.0)]
PYTHON
