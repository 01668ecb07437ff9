#!/usr/bin/env bash
# OpenTelemetry SDK 1.45.2: a sampler that returns no attributes takes away those of the span.
#
# A sampler is asked whether to record a span, and gets the attributes that the span is to
# begin with. What it returns in SamplingResult.attributes, whose default is None, is not added
# to them: it replaces them. So a sampler of one's own that returns only its decision lets
# every span begin without attributes, such as the method and the route of a request that an
# instrumentation gave. Those that are set later, with set_attribute, are there, so the spans
# are not empty. The samplers of the SDK return what they got.
#
# Seen on Python 3.11.7 with opentelemetry-sdk 1.45.2:
#   ALWAYS_ON:              {'http.route': '/lamps', 'later': 1}
#   the decision alone:     {'later': 1}
#
# Exits with 1 if this is no longer so. Needs uv and a package index, nothing else.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv --quiet "$folder/venv"
uv pip install --quiet --python "$folder/venv/bin/python" opentelemetry-sdk==1.45.2

"$folder/venv/bin/python" - <<'PYTHON'
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_ON,
    Decision,
    Sampler,
    SamplingResult,
)


class DecisionAlone(Sampler):
    def should_sample(self, *args, **options):
        return SamplingResult(Decision.RECORD_AND_SAMPLE)

    def get_description(self):
        return "DecisionAlone"


def attributes_with(sampler):
    exporter = InMemorySpanExporter()
    provider = TracerProvider(sampler=sampler)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("lamps")
    with tracer.start_as_current_span("GET", attributes={"http.route": "/lamps"}) as span:
        span.set_attribute("later", 1)
    (finished,) = exporter.get_finished_spans()
    return dict(finished.attributes)


kept, lost = attributes_with(ALWAYS_ON), attributes_with(DecisionAlone())
print("ALWAYS_ON:         ", kept)
print("the decision alone:", lost)
assert kept == {"http.route": "/lamps", "later": 1}
assert lost == {"later": 1}
PYTHON
