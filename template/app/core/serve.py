"""`uv run serve`: the service as production runs it, in one process."""

import argparse
import gc
import signal
import threading
from types import FrameType

import uvicorn

from app.core import health
from app.core.config import settings

# Concurrent requests allocate more than the 700 or 2,000 objects after which Python runs
# its cycle collector, for nothing: with 64 requests that took a quarter of the CPU time.
OBJECTS_UNTIL_COLLECTION = 10_000


class Server(uvicorn.Server):
    """Reports not-ready before it stops listening.

    A load balancer keeps sending requests until it notices.
    """

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


def main() -> None:
    """Serve until SIGTERM, and exit when the requests in flight are done."""
    parser = argparse.ArgumentParser("serve", description=__doc__)
    parser.add_argument("--host", default=settings.HOST, help="default: %(default)s")
    parser.add_argument(
        "--port", default=settings.PORT, type=int, help="default: %(default)s"
    )
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
