"""`uv run dev`: the service on the local PostgreSQL, restarted when its code changes."""

import argparse
from pathlib import Path

import uvicorn
from alembic.command import upgrade
from alembic.config import Config

from app.core.config import settings

ROOT = Path(__file__).parents[2]


def main() -> None:
    """Migrate the database, say where the service is, and serve it until Ctrl-C."""
    parser = argparse.ArgumentParser("dev", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    parser.add_argument("--port", default=8000, type=int, help="default: %(default)s")
    arguments = parser.parse_args()
    if settings.ENVIRONMENT != "development":
        parser.error(
            f"ENVIRONMENT is {settings.ENVIRONMENT}: start uvicorn app.main:app instead"
        )
    upgrade(Config(ROOT / "alembic.ini"), "head")
    print(  # noqa: T201
        f"{settings.APP_TITLE}: http://{arguments.host}:{arguments.port}/docs "
        f"on {settings.DATABASE_URL}",
        flush=True,
    )
    uvicorn.run(
        "app.main:app",
        host=arguments.host,
        port=arguments.port,
        reload=True,
        reload_dirs=[str(ROOT / "app")],
    )
