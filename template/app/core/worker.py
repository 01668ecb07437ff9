"""`uv run worker`: runs the jobs, in one process, until SIGTERM."""

import argparse
import asyncio
import signal
import socket
from types import FrameType

import uvicorn
from fastapi import FastAPI

from app.core import health
from app.core.config import settings
from app.core.jobs import load_jobs
from app.core.logging import configure_logging
from app.core.queue.work import work
from app.core.server import Server

probes = FastAPI(openapi_url=None)
probes.include_router(health.router)


class ProbeServer(uvicorn.Server):
    """Answers probes until the last job has ended."""

    def __init__(self, config: uvicorn.Config, stopping: asyncio.Event) -> None:
        super().__init__(config)
        self._loop, self._stopping = asyncio.get_running_loop(), stopping

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        health.draining.set()
        self._loop.call_soon_threadsafe(self._stopping.set)
        # A second Ctrl-C ends the process, and another worker runs its jobs again.
        signal.signal(signal.SIGINT, signal.SIG_DFL)


class ServerWithWorker(Server):
    """Serves and runs jobs in one process, for development."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        load_jobs()
        await super().startup(sockets)
        self._stopping = asyncio.Event()
        # Jobs do not hold up a reload: they run again afterwards.
        self._jobs = asyncio.create_task(work(self._stopping, grace=1))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Before the application closes the connections.
        self._stopping.set()
        await self._jobs
        await super().shutdown(sockets)


def main() -> None:
    """Run jobs until SIGTERM, and exit when those in progress are done."""
    parser = argparse.ArgumentParser("worker", description=__doc__)
    help = "of the probes; default: %(default)s"
    parser.add_argument("--host", default=settings.HOST, help=help)
    parser.add_argument("--port", default=settings.PORT, type=int, help=help)
    arguments = parser.parse_args()
    configure_logging()
    load_jobs()
    config = uvicorn.Config(
        probes,
        host=arguments.host,
        port=arguments.port,
        log_config=None,
        access_log=False,
        server_header=False,
    )
    # Before any job starts: this exits with a sentence if the port is in use.
    listener = config.bind_socket()
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(_work(config, listener))


async def _work(config: uvicorn.Config, listener: socket.socket) -> None:
    stopping = asyncio.Event()
    server = ProbeServer(config, stopping)
    probing = asyncio.create_task(server.serve([listener]))
    await work(stopping, grace=settings.SHUTDOWN_SECONDS)
    server.should_exit = True
    await probing


if __name__ == "__main__":
    main()
