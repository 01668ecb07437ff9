"""`uv run serve`: the service as production runs it, in one process."""

import argparse
import gc
import signal
import threading
from types import FrameType

import uvicorn

from app.core import health
from app.core.config import settings

# Many requests at once are more objects than the 700 or 2,000 after which Python looks for
# cycles, in vain: with 64 of them that was a quarter of the CPU time of reading a row.
OBJECTS_UNTIL_COLLECTION = 10_000


class Server(uvicorn.Server):
    """Says that it is no longer ready before it stops to listen.

    A load balancer goes on sending requests until it has noticed.
    """

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit:
            self.force_exit = True
        elif sig == signal.SIGTERM and not health.draining.is_set():
            health.draining.set()
            timer = threading.Timer(settings.DRAIN_SECONDS, self._stop)
            # Does not hold up the end that a second signal asks for.
            timer.daemon = True
            timer.start()
        else:
            self._stop()

    def _stop(self) -> None:
        # Not the signal again, as uvicorn does when all is done: the exit code is 0.
        self.should_exit = True


def main() -> None:
    """Serve until SIGTERM, and end when the requests in flight have been answered."""
    parser = argparse.ArgumentParser("serve", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    parser.add_argument("--port", default=8000, type=int, help="default: %(default)s")
    arguments = parser.parse_args()
    config = uvicorn.Config(
        "app.main:app",
        host=arguments.host,
        port=arguments.port,
        log_config=None,
        access_log=False,
        server_header=False,
        forwarded_allow_ips=settings.FORWARDED_ALLOW_IPS,
        timeout_graceful_shutdown=settings.SHUTDOWN_SECONDS,
    )
    gc.set_threshold(OBJECTS_UNTIL_COLLECTION)
    Server(config).run()


if __name__ == "__main__":
    main()
