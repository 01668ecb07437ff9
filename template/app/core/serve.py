"""`uv run serve`: the service as production runs it, in one process."""

import argparse
import gc

# Concurrent requests allocate more than the 700 or 2,000 objects after which Python runs
# its cycle collector, for nothing: with 64 requests that took a quarter of the CPU time.
OBJECTS_UNTIL_COLLECTION = 10_000


def main() -> None:
    """Serve until SIGTERM, and exit when the requests in flight are done."""
    # What is imported stays, so the collector would find nothing until the server starts.
    gc.disable()
    gc.set_threshold(OBJECTS_UNTIL_COLLECTION)

    import uvicorn

    from app.core.config import settings
    from app.core.server import Server, check_address

    parser = argparse.ArgumentParser("serve", description=__doc__)
    parser.add_argument("--host", default=settings.HOST, help="default: %(default)s")
    parser.add_argument(
        "--port", default=settings.PORT, type=int, help="default: %(default)s"
    )
    arguments = parser.parse_args()
    # Otherwise the application would be started first, with all that its lifespans do.
    check_address(arguments.host, arguments.port)
    config = uvicorn.Config(
        "app.main:app",
        host=arguments.host,
        port=arguments.port,
        log_config=None,
        access_log=False,
        server_header=False,
        forwarded_allow_ips=settings.FORWARDED_ALLOW_IPS,
        timeout_keep_alive=settings.KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=settings.SHUTDOWN_SECONDS,
    )
    Server(config, settings).run()


if __name__ == "__main__":
    main()
