"""The service as production runs it, on a PostgreSQL of the tests."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Coroutine, Generator
from pathlib import Path
from typing import Any

import httpx2

from tests.harness.postgres import Postgres, is_alive
from tests.harness.project import Project, free_port, wait_until

SETTINGS = {"ENVIRONMENT": "production", "DOCS": "true"}


class Service:
    """A service that runs, with a client of it."""

    def __init__(self, client: httpx2.Client) -> None:
        self.client = client

    @property
    def process(self) -> int:
        """The process that listens, or that started those which do."""
        port = f"--port\0{self.client.base_url.port}\0"
        return min(
            int(path.name)
            for path in Path("/proc").glob("[0-9]*")
            if port in _command_line(path)
        )

    def memory(self) -> int:
        """Return how many bytes the process has in memory."""
        pages = Path(f"/proc/{self.process}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def end(self) -> int:
        """Wait until the process has ended by itself, and return its exit code."""
        process = self.process
        wait_until(lambda: not is_alive(process))
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])

    def terminate(self) -> int:
        """End it as an orchestrator does, and return the exit code."""
        os.kill(self.process, signal.SIGTERM)
        return self.end()


def _command_line(process: Path) -> str:
    try:
        return (process / "cmdline").read_text(errors="replace")
    except OSError:
        return ""


@contextlib.contextmanager
def serving(
    project: Project, postgres: Postgres, *, workers: int = 1, **environment: str
) -> Generator[Service]:
    """Migrate an empty database, and serve on it."""
    port = free_port()
    settings = {**SETTINGS, "DATABASE_URL": postgres.url, **environment}
    project.run("alembic", "upgrade", "head", **settings)
    postgres.empty()
    command = [
        "python",
        "-m",
        "app.core.serve",
        "--port",
        str(port),
        "--host=127.0.0.1",
    ]
    if workers > 1:
        command = [
            *("uvicorn", "app.main:app", "--workers", str(workers)),
            *("--port", str(port), "--host=127.0.0.1"),
        ]
    with project.serve(*command, port=port, **settings) as client:
        wait_until(lambda: client.get("/readyz").status_code == 200)
        yield Service(client)


def concurrently(
    client: httpx2.Client,
    work: Callable[[httpx2.AsyncClient], Coroutine[Any, Any, Any]],
) -> Any:
    """Run a coroutine with a client for many requests at once."""

    async def run() -> Any:
        limits = httpx2.Limits(max_connections=400, max_keepalive_connections=400)
        async with httpx2.AsyncClient(
            base_url=client.base_url, timeout=30, limits=limits
        ) as many:
            return await work(many)

    return asyncio.run(run())
