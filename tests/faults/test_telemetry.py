"""A service that sends traces and metrics, with bad requests and a lost collector."""

import json
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.harness.bad_requests import ID, bad_requests
from tests.harness.collector import collecting
from tests.harness.postgres import Postgres
from tests.harness.project import Project
from tests.harness.serving import serving
from tests.harness.types import Measure, Render

# Shorter ones are also in what has nothing to do with them, such as a duration.
SHORTEST = 5
# Words of the service's own paths and statements, which bad requests have too.
OF_THE_SERVICE = {"items", "notes", "created_at", "quantity", ID.rpartition("/")[2]}


@pytest.fixture(scope="module")
def project(installed: Render) -> Project:
    return installed(telemetry=True)


def values_of(path: str, options: dict[str, object]) -> Iterator[str]:
    """Yield what a client has chosen in a request, as it is and as it is decoded."""
    url = urlsplit(path)
    yield from url.path.split("/")
    yield from (value for _, value in parse_qsl(url.query))
    yield from url.query.split("&")
    headers = options.get("headers")
    for value in headers.values() if isinstance(headers, dict) else ():
        if value != "application/json":
            yield value if isinstance(value, str) else value.decode("latin-1")
    content = options.get("content", b"")
    assert isinstance(content, bytes)
    yield content.decode("latin-1")
    yield json.dumps(options.get("json", ""))
    yield from re.findall(r'[:\[] "([^"]+)"', content.decode("latin-1"))


def test_no_value_of_a_bad_request_is_in_a_span_a_metric_or_the_log(
    project: Project, postgres: Postgres, measure: Measure
) -> None:
    with collecting() as collector:
        endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        with serving(project, postgres, **endpoint) as service:
            requests = list(bad_requests())
            for method, path, options in requests:
                service.client.request(method, path, timeout=10, **options)
            assert service.terminate() == 0
    values = {
        value[:100]
        for _, path, options in requests
        for value in values_of(path, options)
        if len(value) >= SHORTEST and value not in OF_THE_SERVICE
    }
    sent = collector.text() + (project.path / "output.txt").read_text()

    found = sorted(value for value in values if value in sent)
    spans = sent.count("app.request_id")
    measure(
        f"{len(requests)} bad requests, {spans} spans, {len(values)} values of clients: "
        f"{len(found)} in spans, metrics or the log."
    )
    assert found == []
    assert spans == len(requests)
    assert len(values) >= 150


@pytest.mark.parametrize("status", [503, None], ids=["fails", "hangs"])
def test_a_lost_collector_fails_no_request_and_delays_no_exit(
    project: Project, postgres: Postgres, measure: Measure, status: int | None
) -> None:
    outcomes: Counter[int] = Counter()
    with collecting(status) as collector:
        # Short, so that the queue is full.
        variables = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": "10",
            "OTEL_BSP_MAX_QUEUE_SIZE": "64",
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "64",
        }
        with serving(project, postgres, **variables) as service:
            for _ in range(200):
                outcomes[service.client.get("/items").status_code] += 1
            start = time.monotonic()
            os.kill(service.process, signal.SIGTERM)
            exit_code = service.end()
            seconds = time.monotonic() - start
    lines = (project.path / "output.txt").read_text().splitlines()
    about_it = [
        line for line in lines if json.loads(line)["logger"][:13] == "opentelemetry"
    ]

    measure(
        f"The collector {'hangs' if status is None else 'fails'}: {dict(outcomes)}, exit "
        f"{exit_code} after {seconds:.1f} s, {len(about_it)} lines about it."
    )
    assert outcomes == {200: 200}
    assert exit_code == 0
    # The exporter itself would retry for a minute.
    assert seconds < 25
    assert len(about_it) == 1
