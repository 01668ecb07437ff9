"""The answers to the probes of a load balancer."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from httpx2 import AsyncClient
from sqlalchemy import make_url, text

from app.core import health
from app.core.database import engine, options
from app.core.db.engines import make_engine


async def apply(revisions: list[str]) -> list[str]:
    """Let the database say that these revisions are applied; return which it had."""
    async with engine.begin() as connection:
        # A project without migrations does not have it yet.
        create = "CREATE TABLE IF NOT EXISTS alembic_version (version_num varchar(32))"
        await connection.execute(text(create))
        query = text("DELETE FROM alembic_version RETURNING version_num")
        before = (await connection.scalars(query)).all()
        for revision in revisions:
            query = text("INSERT INTO alembic_version VALUES (:revision)")
            await connection.execute(query, {"revision": revision})
    return list(before)


@pytest.fixture
async def two_revisions(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> AsyncGenerator[None]:
    """Let the code come with the revisions "old" and "new"."""
    ini = tmp_path / "alembic.ini"
    ini.write_text("[alembic]\nscript_location = %(here)s\npath_separator = os")
    versions = tmp_path / "versions"
    versions.mkdir()
    (versions / "old.py").write_text("revision, down_revision = 'old', None")
    (versions / "new.py").write_text("revision, down_revision = 'new', 'old'")
    monkeypatch.setattr(health, "ALEMBIC_INI", ini)
    health._revisions.cache_clear()
    before = await apply([])
    yield
    await apply(before)
    health._revisions.cache_clear()


async def test_ready_when_the_database_has_the_newest_schema(
    client: AsyncClient,
) -> None:
    response = await client.get("/readyz")

    assert (response.status_code, response.json()) == (200, {"status": "ok"})


@pytest.mark.usefixtures("two_revisions")
@pytest.mark.parametrize(
    ("applied", "status_code"),
    [([], 503), (["old"], 503), (["new"], 200), (["from a newer release"], 200)],
)
async def test_ready_unless_the_schema_is_behind_the_code(
    client: AsyncClient, applied: list[str], status_code: int
) -> None:
    await apply(applied)

    response = await client.get("/readyz")

    assert response.status_code == status_code, response.text


async def test_not_ready_but_alive_without_the_database(
    client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = make_engine(make_url("postgresql+asyncpg://a@127.0.0.1:1/b"), options)
    monkeypatch.setattr(health, "engine", nowhere)

    ready = await client.get("/readyz")
    alive = await client.get("/livez")

    assert ready.status_code == 503
    assert ready.json() == {"status": "database unavailable"}
    assert alive.status_code == 200
    assert alive.json() == {"status": "ok"}
