"""`uv run dev`: the service with the newest schema, restarted when its code changes."""

import argparse
import signal
import socket
from pathlib import Path

ROOT = Path(__file__).parents[2]

# Until uvicorn handles it, Ctrl-C ends this program without a traceback, and also the
# processes that the reloader starts. They import this module first, and `main` the rest.
signal.signal(signal.SIGINT, signal.SIG_DFL)


def main() -> None:
    """Migrate the database, say where the service is, and serve it until Ctrl-C."""
    from uvicorn import Config
    from uvicorn.supervisors import ChangeReload

    from app.core.config import settings
    from app.core.logging import configure_logging
    from app.core.server import Server

    parser = argparse.ArgumentParser("dev", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    parser.add_argument(
        "--port", default=settings.PORT, type=int, help="default: %(default)s"
    )
    arguments = parser.parse_args()
    if settings.ENVIRONMENT != "development":
        parser.error(
            f"ENVIRONMENT is {settings.ENVIRONMENT}: run `uv run serve` instead"
        )
    check_address(arguments.host, arguments.port)
    configure_logging()
    migrate()
    url = f"http://{arguments.host}:{arguments.port}/docs"
    print(f"{settings.APP_TITLE}: {url}", flush=True)  # noqa: T201
    config = Config(
        "app.main:app",
        host=arguments.host,
        port=arguments.port,
        log_config=None,
        access_log=False,
        reload=True,
        reload_dirs=[str(ROOT / "app")],
        # An event stream that a browser keeps open does not hold up a reload.
        timeout_graceful_shutdown=1,
    )
    # As uvicorn.run does, but with a server that lets streams end.
    ChangeReload(config, Server(config).run, [config.bind_socket()]).run()


def check_address(host: str, port: int) -> None:
    """Raise SystemExit, with what to do, if the service cannot listen there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind((host, port))
        except (OSError, OverflowError) as error:
            raise SystemExit(
                f"Cannot listen on port {port} of {host}: {error}. "
                "Choose another port with --port."
            ) from None


def migrate() -> None:
    """Raise SystemExit, with what to do, if the schema cannot be brought up to date."""
    from alembic.command import upgrade
    from alembic.config import Config
    from alembic.util import CommandError

    try:
        upgrade(Config(ROOT / "alembic.ini"), "head")
    except CommandError as error:
        raise SystemExit(str(error)) from None
