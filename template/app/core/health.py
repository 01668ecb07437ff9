"""Liveness and readiness probes."""

import asyncio
import threading
from functools import cache
from http import HTTPStatus
from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory
from fastapi import APIRouter, Response
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from app.core.database import engine
from app.core.db.failures import DATABASE_ERRORS

ALEMBIC_INI = Path(__file__).parents[2] / "alembic.ini"
READY_TIMEOUT_SECONDS = 1.5

router = APIRouter(tags=["health"])
# Set when the service is about to stop, so that it is sent no more requests.
draining = threading.Event()


class Health(BaseModel):
    status: str


@router.get("/livez", operation_id="livez")
async def livez() -> Health:
    """Respond without asking the database."""
    return Health(status="ok")


@router.get(
    "/readyz",
    operation_id="readyz",
    responses={503: {"model": Health, "description": "Not ready"}},
)
async def readyz(response: Response) -> Health:
    """Respond with 200 when the database is there and has the schema of this release."""
    status = "stopping" if draining.is_set() else await _database_status()
    if status != "ok":
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
    return Health(status=status)


async def _database_status() -> str:
    try:
        async with asyncio.timeout(READY_TIMEOUT_SECONDS):
            applied = await _applied_revisions()
    except (TimeoutError, *DATABASE_ERRORS):
        return "database unavailable"
    heads, known = _revisions()
    # An unknown revision comes from a newer release. It must suit this release too, or no
    # rolling update would be possible.
    if applied != heads and applied <= known:
        return "database schema behind: run alembic upgrade head"
    return "ok"


async def _applied_revisions() -> frozenset[str]:
    async with engine.connect() as connection:
        try:
            rows = await connection.scalars(
                text("SELECT version_num FROM alembic_version")
            )
        except ProgrammingError:  # No such table: nothing was migrated yet.
            return frozenset()
        return frozenset(rows)


@cache
def _revisions() -> tuple[frozenset[str], frozenset[str]]:
    """Return the heads and all revisions of this release."""
    scripts = ScriptDirectory.from_config(Config(ALEMBIC_INI))
    known = (script.revision for script in scripts.walk_revisions())
    return frozenset(scripts.get_heads()), frozenset(known)
