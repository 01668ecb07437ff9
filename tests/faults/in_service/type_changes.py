"""Requests while a migration changes a type under them: a test of a rendered service."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from app.core.application import set_up
from app.core.config import settings
from app.core.database import engine, options
from app.core.db.compiled_reads import CompiledRead, Reader
from app.core.db.engines import make_engine
from asyncpg import Record
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import column, select, table, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from tests.conftest import client_of

CONNECTIONS = 5
# The sleep makes concurrent requests use a connection each.
PAUSE = text("pg_sleep(0.01)::text = ''")
SELECT = select(column("value")).select_from(table("changed")).where(PAUSE)
READ = CompiledRead(SELECT, dict[str, Any])


@dataclass(frozen=True)
class Change:
    """What a migration does to the column `value`, which `before` fills."""

    before: str
    alter: str
    seen: object
    afterwards: object


def to(new: str, before: str, seen: object, afterwards: object) -> Change:
    return Change(
        before, f"ALTER TABLE changed ALTER value TYPE {new}", seen, afterwards
    )


CHANGES = {
    "int to bigint": to("bigint", "7::int", 7, 7),
    "bigint to int": to("int", "7::bigint", 7, 7),
    "int to float4": to("float4", "7::int", 7, 7.0),
    "int to text": to("text", "7::int", 7, "7"),
    "int to numeric": to("numeric", "7::int", 7, "7"),
    "numeric to float8": to("float8", "1.5::numeric", "1.5", 1.5),
    "longer varchar": to("varchar(200)", "'x'::varchar(100)", "x", "x"),
    "varchar to text": to("text", "'x'::varchar(100)", "x", "x"),
    "text to bytea": to("bytea USING value::bytea", "'x'::text", "x", "x"),
    "text to array": to("text[] USING ARRAY[value]", "'x'::text", "x", ["x"]),
    "json to jsonb": to("jsonb", """'{"a": 1}'::json""", {"a": 1}, {"a": 1}),
    "date to timestamp": to(
        "timestamp", "'2026-01-02'::date", "2026-01-02", "2026-01-02T00:00:00"
    ),
    "recreated enum": Change(
        "'a'::letter",
        "ALTER TYPE letter RENAME TO old_letter;"
        " CREATE TYPE letter AS ENUM ('a', 'b');"
        " ALTER TABLE changed ALTER value TYPE letter USING value::text::letter;"
        " DROP TYPE old_letter",
        "a",
        "a",
    ),
    "composite with another attribute": Change(
        "ROW(1)::pair", "ALTER TYPE pair ADD ATTRIBUTE b int", [1], [1, None]
    ),
    "domain with a check": Change(
        "7::positive", "ALTER DOMAIN positive ADD CHECK (VALUE < 10)", 7, 7
    ),
    "added column": Change("7::int", "ALTER TABLE changed ADD other int", 7, 7),
}


async def run(statements: str) -> None:
    """Run statements as another program does, without preparing them."""
    async with engine.connect() as connection:
        raw = await connection.get_raw_connection()
        await raw.driver_connection.execute(statements)


def as_json(value: Any) -> Any:
    return list(value) if isinstance(value, Record) else value


@pytest.fixture(params=[False, True], ids=["direct", "through PgBouncer"])
async def pool(request: pytest.FixtureRequest) -> AsyncGenerator[AsyncEngine]:
    pool = make_engine(
        settings.DATABASE_URL,
        replace(options, pgbouncer=request.param, pool_size=CONNECTIONS),
    )
    yield pool
    await pool.dispose()


@pytest.fixture
async def client(pool: AsyncEngine) -> AsyncGenerator[AsyncClient]:
    """A client of three ways to read, and of a write, on the pool."""
    app = FastAPI()
    reading = pool.execution_options(isolation_level="AUTOCOMMIT")
    reader = Reader(reading, slow_statement=options.slow_statement)

    async def through_session(bind: AsyncEngine) -> Any:
        async with AsyncSession(bind) as session:
            (value,) = await session.scalars(SELECT)
        return as_json(value)

    @app.get("/session")
    @app.post("/session")
    async def session() -> Any:
        return await through_session(pool)

    @app.get("/read-session")
    async def read_session() -> Any:
        return await through_session(reading)

    @app.get("/compiled")
    async def compiled() -> Any:
        (row,) = await reader.all(READ)
        return as_json(row["value"])

    set_up(app)
    await run(
        "CREATE TYPE letter AS ENUM ('a'); CREATE TYPE pair AS (a int);"
        "CREATE DOMAIN positive AS int CHECK (VALUE > 0)"
    )
    async with client_of(app) as client:
        yield client
    await run(
        "DROP TABLE IF EXISTS changed; DROP TYPE letter; DROP TYPE pair;"
        "DROP DOMAIN positive"
    )


async def ask(
    client: AsyncClient, method: str, path: str, **headers: str
) -> list[tuple[int, object]]:
    """Send one request on each connection of the pool, at once."""
    requests = (
        client.request(method, path, headers=headers) for _ in range(CONNECTIONS)
    )
    responses = await asyncio.gather(*requests)
    return [(response.status_code, response.json()) for response in responses]


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("path", ["/session", "/read-session", "/compiled"])
async def test_a_read_gets_the_value_of_the_new_type_on_every_connection(
    client: AsyncClient, path: str, change: Change
) -> None:
    await run(f"CREATE TABLE changed AS SELECT {change.before} AS value")
    before = await ask(client, "GET", path) + await ask(client, "GET", path)
    await run(change.alter)

    alone = await client.get(path)
    together = await ask(client, "GET", path) + await ask(client, "GET", path)

    assert before == [(200, change.seen)] * (2 * CONNECTIONS)
    assert (alone.status_code, alone.json()) == (200, change.afterwards)
    assert together == [(200, change.afterwards)] * (2 * CONNECTIONS)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_a_write_is_done_or_may_be_sent_again(
    client: AsyncClient, change: Change
) -> None:
    await run(f"CREATE TABLE changed AS SELECT {change.before} AS value")
    await ask(client, "POST", "/session")
    await run(change.alter)

    at_once = await ask(client, "POST", "/session")
    again = await ask(client, "POST", "/session")

    assert {status for status, _ in at_once} <= {200, 503}
    assert again == [(200, change.afterwards)] * CONNECTIONS


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_a_write_that_may_be_repeated_is_done(
    client: AsyncClient, change: Change
) -> None:
    headers = {"If-Match": "*"}
    await run(f"CREATE TABLE changed AS SELECT {change.before} AS value")
    await ask(client, "POST", "/session", **headers)
    await run(change.alter)

    at_once = await ask(client, "POST", "/session", **headers)

    assert at_once == [(200, change.afterwards)] * CONNECTIONS
