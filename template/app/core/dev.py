"""`uv run dev`: the service with the newest schema, restarted when its code changes."""

import argparse
from pathlib import Path

import uvicorn
from alembic.command import upgrade
from alembic.config import Config
from alembic.util import CommandError

from app.core.config import settings
from app.core.logging import configure_logging

ROOT = Path(__file__).parents[2]


def main() -> None:
    """Migrate the database, say where the service is, and serve it until Ctrl-C."""
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
    configure_logging()
    migrate()
    url = f"http://{arguments.host}:{arguments.port}/docs"
    print(f"{settings.APP_TITLE}: {url}", flush=True)  # noqa: T201
    uvicorn.run(
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


def migrate() -> None:
    """Raise SystemExit, with what to do, if the schema cannot be brought up to date."""
    try:
        upgrade(Config(ROOT / "alembic.ini"), "head")
    except CommandError as error:
        raise SystemExit(str(error)) from None
