#!/usr/bin/env bash
# OpenTelemetry's exporter for Prometheus 0.66b2: attributes that look alike lose values.
#
# Prometheus had no dots in names, so the exporter writes `user.id` as user_id. If a measurement
# has both `user.id` and `user_id`, the label has the value of one of them: that which was given
# last. The specification says to join both with a semicolon. If one measurement has `user.id`
# and another one `user_id`, the scrape has two lines of the same series, of which Prometheus
# keeps one and drops the rest as duplicates. Both happen where one part of a program follows the
# semantic conventions and another one does not.
#
# Seen on Python 3.11.7 with opentelemetry-exporter-prometheus 0.66b2:
#   both in one measurement: user_id="line" 1.0
#   one in each of two:      user_id="a" 1.0, user_id="a" 2.0
#
# Exits with 1 if this is no longer so. Needs uv and a package index, nothing else.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv --quiet "$folder/venv"
uv pip install --quiet --python "$folder/venv/bin/python" --prerelease allow \
    opentelemetry-sdk==1.45.2 opentelemetry-exporter-prometheus==0.66b2

"$folder/venv/bin/python" - <<'PYTHON'
import re

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import REGISTRY, generate_latest


def scraped(*measurements):
    provider = MeterProvider(metric_readers=[PrometheusMetricReader()])
    counter = provider.get_meter("test").create_counter("logins")
    for amount, attributes in enumerate(measurements, start=1):
        counter.add(amount, attributes)
    text = generate_latest(REGISTRY).decode()
    provider.shutdown()
    return re.findall(r'^logins_total\{.*(user_id=".*?").*\} (\S+)$', text, re.MULTILINE)


both = scraped({"user.id": "dot", "user_id": "line"})
each = scraped({"user.id": "a"}, {"user_id": "a"})
print("both in one measurement:", *map(" ".join, both))
print("one in each of two:     ", *map(" ".join, each))
assert both == [('user_id="line"', "1.0")]
assert each == [('user_id="a"', "1.0"), ('user_id="a"', "2.0")]
PYTHON
