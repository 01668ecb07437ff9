"""Makes the pictures of the README from a freshly rendered project: make pictures.

Needs Chromium on the PATH, and npm: /docs loads Swagger UI from a CDN, which the
picture must not depend on, so the package is taken from npm and served beside it.
"""

import contextlib
import html
import os
import re
import subprocess
import sys
import tempfile
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.request import urlopen

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
SERVICE = "http://127.0.0.1:8000"
CDN = "https://cdn.jsdelivr.net/npm/swagger-ui-dist@5/"
CURL = ["curl", "-s", "-H", "content-type: application/json"]
ITEM = '{"name": "Lamp", "quantity": 3}'
QUIET = ("Context impl", "Will assume", "Will watch", "Started ")


def main() -> None:
    os.environ.pop("VIRTUAL_ENV", None)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        copy = ["uvx", "copier", "copy", "--defaults", "--vcs-ref", "HEAD"]
        subprocess.run([*copy, "--quiet", ROOT, directory / "my-service"], check=True)
        log = directory / "log"
        project = directory / "my-service"
        with log.open("w") as output:
            subprocess.run(["uv", "sync", "--quiet"], cwd=project, check=True)
            service = subprocess.Popen(
                ["uv", "run", "dev"], cwd=project, stdout=output, stderr=output
            )
        try:
            wait_until_it_serves(service)
            created = subprocess.check_output(
                [*CURL, f"{SERVICE}/items", "-d", ITEM], text=True
            )
            ready = subprocess.check_output([*CURL, f"{SERVICE}/readyz"], text=True)
            photograph_docs(directory)
        finally:
            service.terminate()
            service.wait()
        served = [
            re.sub(r"^\S+Z ", "", line).rstrip()
            for line in log.read_text().splitlines()
            if not any(words in line for words in QUIET)
        ]
    (last,) = (n for n, line in enumerate(served) if "startup complete" in line)
    served = served[: last + 1]
    draw_terminal(
        [
            '$ uvx copier copy --defaults "$PWD" ../my-service',
            "$ cd ../my-service",
            "$ uv run dev",
            *(part for line in served for part in split(line)),
            "",
            "$ curl 127.0.0.1:8000/readyz",
            ready,
            f"$ curl 127.0.0.1:8000/items --json '{ITEM}'",
            *split(created),
        ]
    )


def wait_until_it_serves(service: subprocess.Popen[bytes]) -> None:
    while True:
        with contextlib.suppress(OSError), urlopen(f"{SERVICE}/readyz"):
            return
        if service.poll() is not None:
            sys.exit("The service did not start: is port 8000 in use?")
        time.sleep(0.1)


def split(line: str, width: int = 109) -> list[str]:
    """Break a long line as a terminal does."""
    return [line[start : start + width] for start in range(0, len(line), width)]


def draw_terminal(lines: list[str]) -> None:
    height, top = 20, 48
    rows = []
    for number, line in enumerate(lines):
        color = "#8be9a8" if line.startswith("$") else "#d8dee9"
        rows.append(
            f'<text x="20" y="{top + number * height}" fill="{color}" '
            f'xml:space="preserve">{html.escape(line)}</text>'
        )
    width, total = 960, top + len(lines) * height
    dots = "".join(
        f'<circle cx="{20 + 18 * number}" cy="18" r="6" fill="{color}"/>'
        for number, color in enumerate(["#ff5f57", "#febc2e", "#28c840"])
    )
    (IMAGES / "terminal.svg").write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{total}" '
        'font-family="ui-monospace, Menlo, Consolas, DejaVu Sans Mono, monospace" '
        'font-size="14">\n'
        f'<rect width="100%" height="100%" rx="8" fill="#1e222a"/>{dots}\n'
        + "\n".join(rows)
        + "\n</svg>\n"
    )


def photograph_docs(directory: Path) -> None:
    subprocess.run(
        ["npm", "install", "--silent", "--prefix", directory, "swagger-ui-dist@5"],
        check=True,
    )
    assets = directory / "node_modules" / "swagger-ui-dist"

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asset = assets / self.path.removeprefix("/swagger/")
            if self.path.startswith("/swagger/"):
                body = asset.read_bytes()
                kind = "text/css" if asset.suffix == ".css" else "text/javascript"
            else:
                with urlopen(SERVICE + self.path) as response:
                    body = response.read().replace(CDN.encode(), b"/swagger/")
                    kind = response.headers["content-type"]
            self.send_response(200)
            self.send_header("content-type", kind)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    subprocess.run(
        [
            *("chromium", "--headless", "--no-sandbox", "--disable-gpu"),
            *("--no-first-run", "--disable-background-networking", "--disable-sync"),
            f"--user-data-dir={directory / 'chromium'}",
            *("--window-size=1000,900", "--hide-scrollbars"),
            "--virtual-time-budget=8000",
            f"--screenshot={IMAGES / 'docs.png'}",
            f"http://127.0.0.1:{server.server_port}/docs",
        ],
        check=True,
        stderr=subprocess.DEVNULL,
    )
    server.shutdown()


if __name__ == "__main__":
    IMAGES.mkdir(parents=True, exist_ok=True)
    main()
