"""Liveness and readiness probes."""

import asyncio
import logging
import re
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
from app.core.db.failures import DATABASE_ERRORS, driver_error, sqlstate

ALEMBIC_INI = Path(__file__).parents[2] / "alembic.ini"
READY_TIMEOUT_SECONDS = 1.5

router = APIRouter(tags=["health"])
# Set when the service is about to stop, so that it is sent no more requests.
draining = threading.Event()

PROBES = {"/livez", "/readyz"}
UNDEFINED_TABLE = "42P01"
# What PgBouncer says, at the first connection, to a setting that it does not know.
REFUSED_PARAMETER = re.compile(r"unsupported startup parameter.*: (\w+)")

logger = logging.getLogger(__name__)


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
    status, reason = "stopping", ""
    if not draining.is_set():
        status, reason = await _database_status()
    readiness.note(status, reason)
    if status != "ok":
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
    return Health(status=status)


class Readiness:
    """Logs whether the service is ready, and why not, when that changes."""

    def __init__(self) -> None:
        self._noted: tuple[str, str] | None = None

    def note(self, status: str, reason: str) -> None:
        """Log a status that is new, or has a new reason."""
        if (status, reason) == self._noted:
            return
        self._noted = (status, reason)
        if status == "ok":
            logger.info("ready")
        else:
            logger.warning("not ready: %s", status, extra={"reason": reason})


readiness = Readiness()


async def _database_status() -> tuple[str, str]:
    """Return a status for everyone, and a reason for the log.

    The reason is PostgreSQL's own message, which may name the user and the database. It
    has no values of rows, because the only rows that are read here are revisions.
    """
    try:
        async with asyncio.timeout(READY_TIMEOUT_SECONDS):
            applied = await _applied_revisions()
    except TimeoutError:
        reason = f"no response within {READY_TIMEOUT_SECONDS} s"
        return "database unavailable", reason
    except DATABASE_ERRORS as error:
        reason = str(driver_error(error))
        if refused := REFUSED_PARAMETER.search(reason):
            return f"database refuses {refused[1]}: set DB_PGBOUNCER=true", reason
        return "database unavailable", reason
    heads, known = _revisions()
    # An unknown revision comes from a newer release. It must suit this release too, or no
    # rolling update would be possible.
    if applied != heads and applied <= known:
        reason = f"it has {sorted(applied)}, and this release needs {sorted(heads)}"
        return "database schema behind: run alembic upgrade head", reason
    return "ok", ""


async def _applied_revisions() -> frozenset[str]:
    async with engine.connect() as connection:
        try:
            rows = await connection.scalars(
                text("SELECT version_num FROM alembic_version")
            )
        except ProgrammingError as error:
            if sqlstate(error) != UNDEFINED_TABLE:
                raise
            return frozenset()  # Nothing was migrated yet.
        return frozenset(rows)


@cache
def _revisions() -> tuple[frozenset[str], frozenset[str]]:
    """Return the heads and all revisions of this release."""
    scripts = ScriptDirectory.from_config(Config(ALEMBIC_INI))
    known = (script.revision for script in scripts.walk_revisions())
    return frozenset(scripts.get_heads()), frozenset(known)
