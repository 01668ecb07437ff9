"""A collector of OpenTelemetry that keeps what it receives, fails, or never responds."""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Collector(ThreadingHTTPServer):
    """Responds with a status, or never if there is none."""

    def __init__(self, status: int | None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = status
        self.received: list[tuple[str, bytes]] = []
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        """Return what OTEL_EXPORTER_OTLP_ENDPOINT is set to."""
        return f"http://127.0.0.1:{self.server_port}"

    def text(self) -> str:
        """Return all that was received; strings are in it as they are."""
        return b"".join(body for _, body in self.received).decode(errors="replace")


class _Handler(BaseHTTPRequestHandler):
    server: Collector  # ty: ignore[incompatible-mutable-override]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.received.append((self.path, body))
        if self.server.status is None:
            self.server.closing.wait()
            return
        self.send_response(self.server.status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


@contextmanager
def collecting(status: int | None = 200) -> Generator[Collector]:
    """Run a collector."""
    with Collector(status) as collector:
        thread = threading.Thread(target=collector.serve_forever)
        thread.start()
        try:
            yield collector
        finally:
            collector.closing.set()
            collector.shutdown()
            thread.join()
