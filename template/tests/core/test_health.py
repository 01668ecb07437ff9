"""The responses to the probes of a load balancer, and what the log says about them."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
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
    (versions / "old.py").write_text("revision = 'old'\ndown_revision = None\n")
    (versions / "new.py").write_text("revision = 'new'\ndown_revision = 'old'\n")
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


@pytest.fixture
def log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> pytest.LogCaptureFixture:
    """The log of a service that was just started."""
    monkeypatch.setattr(health, "readiness", health.Readiness())
    caplog.set_level(logging.INFO)
    return caplog


def changes(log: pytest.LogCaptureFixture) -> list[tuple[str, str | None]]:
    """Return what the log says of the readiness, with the reasons."""
    return [
        (record.getMessage(), vars(record).get("reason"))
        for record in log.records
        if record.name == "app.core.health"
    ]


@asynccontextmanager
async def server_that_says(code: str, message: str) -> AsyncGenerator[str]:
    """Run a server that refuses each connection as PostgreSQL does; yield its URL."""

    async def refuse(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.readexactly(8)
        fields = f"SFATAL\0C{code}\0M{message}\0\0".encode()
        writer.write(b"E" + (len(fields) + 4).to_bytes(4) + fields)
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1") as server:
        port = server.sockets[0].getsockname()[1]
        yield f"postgresql+asyncpg://a@127.0.0.1:{port}/b?ssl=disable"


async def test_the_log_has_the_database_s_own_message_once_per_change(
    client: AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    log: pytest.LogCaptureFixture,
) -> None:
    async def probe(code: str, message: str) -> None:
        async with server_that_says(code, message) as url:
            nowhere = make_engine(make_url(url), options)
            with monkeypatch.context() as patch:
                patch.setattr(health, "engine", nowhere)
                for _ in range(3):
                    response = await client.get("/readyz")
        assert message not in response.text

    await probe("3D000", 'database "b" does not exist')
    await probe("28P01", 'password authentication failed for user "a"')
    for _ in range(3):
        await client.get("/readyz")
    await probe("53300", "sorry, too many clients already")

    assert changes(log) == [
        ("not ready: database unavailable", 'database "b" does not exist'),
        (
            "not ready: database unavailable",
            'password authentication failed for user "a"',
        ),
        ("ready", None),
        ("not ready: database unavailable", "sorry, too many clients already"),
    ]


async def test_a_parameter_that_a_pooler_refuses_is_named_with_what_to_do(
    client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusal = "unsupported startup parameter: statement_timeout"
    async with server_that_says("08P01", refusal) as url:
        monkeypatch.setattr(health, "engine", make_engine(make_url(url), options))

        response = await client.get("/readyz")

    assert response.status_code == 503
    status = "database refuses statement_timeout: set DB_PGBOUNCER=true"
    assert response.json() == {"status": status}


@pytest.mark.usefixtures("two_revisions")
async def test_the_log_has_the_revisions_of_a_schema_that_is_behind(
    client: AsyncClient, log: pytest.LogCaptureFixture
) -> None:
    await apply(["old"])

    await client.get("/readyz")

    assert [reason for _, reason in changes(log)] == [
        "it has ['old'], and this release needs ['new']"
    ]


async def test_a_table_of_revisions_that_may_not_be_read_is_no_missing_one(
    client: AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    log: pytest.LogCaptureFixture,
) -> None:
    denied = "permission denied for table alembic_version"
    async with server_that_says("42501", denied) as url:
        monkeypatch.setattr(health, "engine", make_engine(make_url(url), options))

        response = await client.get("/readyz")

    assert response.json() == {"status": "database unavailable"}
    assert changes(log) == [("not ready: database unavailable", denied)]


async def test_probes_that_succeed_are_not_logged(
    client: AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    log: pytest.LogCaptureFixture,
) -> None:
    for path in ("/livez", "/readyz", "/"):
        assert (await client.get(path)).status_code == 200
    monkeypatch.setattr(health.draining, "is_set", lambda: True)
    assert (await client.get("/readyz")).status_code == 503

    requests = [vars(r) for r in log.records if r.name == "app.access"]
    assert [(line["route"], line["status"]) for line in requests] == [
        ("/", 200),
        ("/readyz", 503),
    ]
