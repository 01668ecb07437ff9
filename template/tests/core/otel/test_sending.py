"""The destinations of traces and metrics, and a service without a collector."""

import logging
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import SpanKind

from app.core.config import settings
from app.core.otel import logs
from app.core.otel.environment import exporters
from app.core.otel.logs import OncePerMinute
from app.core.otel.providers import tracer_provider
from app.core.otel.terminal import SpansInTerminal

ROOT = Path(__file__).parents[3]
# One request of the service, from its start to its end; then what it has loaded.
RUN = """
import asyncio, sys
from httpx2 import ASGITransport, AsyncClient
from app.main import app

async def run() -> None:
    async with app.router.lifespan_context(app):
        async with AsyncClient(transport=ASGITransport(app), base_url="http://x") as client:
            await client.get("/")

asyncio.run(run())
print(*sys.modules)
"""


class Collector(ThreadingHTTPServer):
    """Keeps what it receives, and answers with a status, or never."""

    def __init__(self, status: int | None) -> None:
        self.status = status
        self.received: list[tuple[str, bytes]] = []
        self.closed = threading.Event()
        super().__init__(("127.0.0.1", 0), Receiver)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        collector: Any = self.server
        collector.received.append((self.path, body))
        if collector.status is None:
            collector.closed.wait()
            return
        self.send_response(collector.status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def collector(request: pytest.FixtureRequest) -> Generator[Collector]:
    with Collector(request.param) as collector:
        thread = threading.Thread(target=collector.serve_forever)
        thread.start()
        yield collector
        collector.closed.set()
        collector.shutdown()
        thread.join()


def run(**variables: str) -> subprocess.CompletedProcess[str]:
    """Run the service for one request, with variables that the machine does not set."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("OTEL_")}
    url = settings.DATABASE_URL.render_as_string(hide_password=False)
    return subprocess.run(
        [sys.executable, "-c", RUN],
        cwd=ROOT,
        env={**kept, "DATABASE_URL": url, **variables},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_METRICS_EXPORTER": "otlp"},
    ],
    ids=["nothing", "no-endpoint"],
)
def test_without_a_destination_nothing_of_the_sdk_is_loaded(
    variables: dict[str, str],
) -> None:
    loaded = run(**variables).stdout.split()

    unwanted = ("opentelemetry.sdk", "opentelemetry.exporter", "prometheus_client")
    assert "app.main" in loaded
    assert [name for name in loaded if name.startswith(unwanted)] == []
    assert not {"requests", "urllib3", "app.core.otel.providers"} & set(loaded)


@pytest.mark.parametrize("collector", [200], indirect=True)
def test_a_collector_has_all_spans_and_metrics_when_the_service_has_ended(
    collector: Collector,
) -> None:
    result = run(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)

    received = dict(collector.received)
    assert received.keys() == {"/v1/traces", "/v1/metrics"}
    assert b"GET /" in received["/v1/traces"]
    assert settings.APP_TITLE.encode() in received["/v1/traces"]
    assert b"http.server.request.duration" in received["/v1/metrics"]
    (access,) = (line for line in result.stderr.splitlines() if "app.access" in line)
    assert re.search(r"\bspan_id=[0-9a-f]{16} .*\btrace_id=[0-9a-f]{32}$", access)


@pytest.mark.parametrize("collector", [503, None], indirect=True)
def test_a_collector_that_fails_or_hangs_does_not_keep_the_service_from_ending(
    collector: Collector,
) -> None:
    # An exporter would try for a minute, and wait an hour for each response.
    run(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, OTEL_EXPORTER_OTLP_TIMEOUT="3600")

    attempts = [path for path, _ in collector.received].count("/v1/traces")
    assert 1 <= attempts < 4


def test_a_port_for_metrics_that_is_taken_is_a_warning() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = str(taken.getsockname()[1])
        result = run(
            OTEL_METRICS_EXPORTER="prometheus",
            OTEL_EXPORTER_PROMETHEUS_HOST="127.0.0.1",
            OTEL_EXPORTER_PROMETHEUS_PORT=port,
        )

    assert re.search(rf"no metrics on port {port}: .*in use", result.stderr)


@pytest.mark.parametrize("port", ["metrics", "70000"])
def test_a_port_for_metrics_that_is_not_one_is_a_warning(port: str) -> None:
    result = run(OTEL_METRICS_EXPORTER="prometheus", OTEL_EXPORTER_PROMETHEUS_PORT=port)

    assert f"no metrics on port {port}: " in result.stderr


def test_an_exporter_that_is_not_supported_is_a_warning() -> None:
    result = run(
        OTEL_TRACES_EXPORTER="zipkin",
        OTEL_LOGS_EXPORTER="otlp",
        OTEL_EXPORTER_OTLP_PROTOCOL="grpc",
        OTEL_EXPORTER_OTLP_METRICS_PROTOCOL="http/json",
    )

    assert "OTEL_TRACES_EXPORTER: zipkin is not supported" in result.stderr
    assert "OTEL_LOGS_EXPORTER: otlp is not supported" in result.stderr
    assert "OTEL_EXPORTER_OTLP_PROTOCOL: grpc is not supported" in result.stderr
    metrics = "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL: http/json is not supported"
    assert metrics in result.stderr


@pytest.mark.parametrize(
    ("variables", "traces", "metrics"),
    [
        ({"EXPORTER_OTLP_ENDPOINT": "http://x"}, {"otlp"}, {"otlp"}),
        ({"EXPORTER_OTLP_TRACES_ENDPOINT": "http://x"}, {"otlp"}, set()),
        ({"TRACES_EXPORTER": "console"}, {"console"}, set()),
        ({"METRICS_EXPORTER": "prometheus", "SDK_DISABLED": "true"}, set(), set()),
        (
            {"EXPORTER_OTLP_ENDPOINT": "http://x", "TRACES_EXPORTER": "none"},
            set(),
            {"otlp"},
        ),
        (
            {"EXPORTER_OTLP_ENDPOINT": "http://x", "METRICS_EXPORTER": "prometheus"},
            {"otlp"},
            {"prometheus"},
        ),
    ],
)
def test_the_variables_name_the_exporters_of_traces_and_of_metrics(
    variables: dict[str, str],
    traces: set[str],
    metrics: set[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(f"OTEL_{name}", value)

    assert (exporters("TRACES"), exporters("METRICS")) == (traces, metrics)


def test_a_lost_collector_is_one_line_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(logs, "monotonic", lambda: now)
    once_per_minute = OncePerMinute()

    def passes(name: str, level: int) -> bool:
        line = logging.LogRecord(name, level, "", 0, "", (), None)
        return once_per_minute.filter(line)

    first = [passes("opentelemetry.exporter", logging.ERROR) for _ in range(1000)]
    others = passes("app.lamps", logging.INFO)
    now += 60
    second = [passes("opentelemetry.sdk", logging.ERROR) for _ in range(1000)]

    assert (sum(first), others, sum(second)) == (1, True, 1)


def test_the_terminal_shows_the_spans_of_a_request_when_it_ends() -> None:
    terminal = StringIO()
    provider = tracer_provider(Resource({}), [SpansInTerminal(terminal)])
    tracer = provider.get_tracer("test")

    with tracer.start_as_current_span("GET /lamps", kind=SpanKind.SERVER) as request:
        request.set_attribute("http.response.status_code", 200)
        tracer.start_span("SELECT lamp").end()
        assert terminal.getvalue() == ""

    first, second = terminal.getvalue().splitlines()
    assert first.startswith("GET /lamps 200  ")
    assert f"trace {request.get_span_context().trace_id:032x}" in first
    assert second.startswith("  SELECT lamp  ")


def test_the_terminal_shows_a_span_that_ends_after_its_request() -> None:
    terminal = StringIO()
    provider = tracer_provider(Resource({}), [SpansInTerminal(terminal)])
    tracer = provider.get_tracer("test")

    with tracer.start_as_current_span("GET /lamps", kind=SpanKind.SERVER) as request:
        background = tracer.start_span("count lamps")
    background.end()

    trace_id = f"trace {request.get_span_context().trace_id:032x}"
    _, last = terminal.getvalue().splitlines()
    assert last.startswith("count lamps  ")
    assert last.endswith(trace_id)
