"""The server of `serve` and `dev`: how it starts and stops."""

import gc
import signal
import threading
from socket import socket
from types import FrameType

import uvicorn

from app.core import health
from app.core.config import settings


class Server(uvicorn.Server):
    """Reports not-ready before it stops listening.

    A load balancer keeps sending requests until it notices.
    """

    async def startup(self, sockets: list[socket] | None = None) -> None:
        # What the application consists of is never garbage. The collector would look at
        # all of it again and again, the longer the more features there are.
        gc.freeze()
        gc.enable()
        await super().startup(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        elif sig == signal.SIGTERM and not health.draining.is_set():
            health.draining.set()
            timer = threading.Timer(settings.DRAIN_SECONDS, self._stop)
            # Does not delay the exit that a second signal asks for.
            timer.daemon = True
            timer.start()
        else:
            self._stop()

    def _stop(self) -> None:
        # Streams watch it, to end with the service.
        health.draining.set()
        # Does not raise the signal again at the end, as uvicorn would: the exit code is 0.
        self.should_exit = True
