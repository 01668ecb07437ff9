"""The server of `serve` and `dev`: how it starts and stops."""

import gc
import logging
import signal
import threading
from socket import AF_INET, AF_INET6, SO_REUSEADDR, SOL_SOCKET, socket
from types import FrameType

import uvicorn

from app.core import health
from app.core.config import Settings
from app.core.env_file import ENV_FILE, misspelled_names

logger = logging.getLogger(__name__)


class Server(uvicorn.Server):
    """Reports not-ready before it stops listening.

    A load balancer keeps sending requests until it notices.
    """

    def __init__(self, config: uvicorn.Config, settings: Settings) -> None:
        super().__init__(config)
        self._settings = settings

    async def startup(self, sockets: list[socket] | None = None) -> None:
        # What the application consists of is never garbage. The collector would scan all
        # of it again and again, which takes longer with each feature.
        gc.freeze()
        gc.enable()
        warn_of_misspelled_settings()
        await super().startup(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        elif sig == signal.SIGTERM and not health.draining.is_set():
            health.draining.set()
            timer = threading.Timer(self._settings.DRAIN_SECONDS, self._stop)
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


def warn_of_misspelled_settings() -> None:
    """Log each name that has no effect, but is nearly that of a setting."""
    for problem in misspelled_names(ENV_FILE, Settings.model_fields):
        logger.warning(problem)


def check_address(host: str, port: int) -> None:
    """Raise SystemExit, with what to do, if the service cannot listen there."""
    family = AF_INET6 if ":" in host else AF_INET
    with socket(family) as server:
        server.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        try:
            server.bind((host, port))
        except (OSError, OverflowError) as error:
            raise SystemExit(
                f"Cannot listen on port {port} of {host}: {error}. "
                "Choose another address with --host or --port."
            ) from None
