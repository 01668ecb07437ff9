"""How failures of PostgreSQL reach a client: through HTTP, with a real server."""

import asyncio
import logging
import traceback
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Annotated, Any

import asyncpg
import pytest
from fastapi import Body, FastAPI, Header, Request
from httpx2 import AsyncClient
from sqlalchemy import literal, make_url, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm.exc import StaleDataError
from starlette.responses import JSONResponse
from starlette.routing import Route, Router

from app.core.application import set_up
from app.core.config import settings
from app.core.database import (
    ReadSessionDep,
    SessionDep,
    engine,
    options,
    read_session_factory,
)
from app.core.db.compiled_reads import CompiledRead, Reader
from app.core.db.engines import make_engine
from app.core.db.failures import (
    DatabaseUnavailableError,
    conflicting_fields,
    is_connection_lost,
)
from app.core.http import database_failures
from tests.conftest import client_of

app = FastAPI()
killed = []
victims = []
runs: list[str] = []


@app.post("/raise/{state}")
async def raise_state(session: SessionDep, state: str) -> None:
    """Let PostgreSQL report an error of its own about a value."""
    body = "BEGIN RAISE EXCEPTION 's3cret' USING ERRCODE = state; END"
    await session.execute(
        text(
            "CREATE FUNCTION pg_temp.fail(state text) RETURNS text LANGUAGE plpgsql"
            f" AS $$ {body} $$"
        )
    )
    await session.execute(text("SELECT pg_temp.fail(:state)"), {"state": state})


@app.post("/run")
async def run(
    session: SessionDep, sql: Annotated[str, Body()], value: Annotated[Any, Body()]
) -> None:
    await session.execute(text(sql), {"value": value} if ":value" in sql else {})


@app.get("/default")
async def default(
    session: SessionDep, x_day: Annotated[str, Header()] = "s3cret"
) -> None:
    """Send a value that is the service's own, unless the client has another."""
    await run(session, "SELECT CAST(CAST(:value AS text) AS date)", x_day)


@app.get("/killed-once")
async def killed_once(session: ReadSessionDep) -> int:
    """Lose the connection in use, the first time."""
    if not killed:
        killed.append(True)
        await session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
    return await session.scalar(text("SELECT 1"))


@app.get("/killed-once-with-body")
async def killed_once_with_body(
    session: ReadSessionDep, body: Annotated[str, Body()]
) -> str:
    await killed_once(session)
    return body


@app.put("/conflicts-once")
@app.post("/conflicts-once")
async def conflicts_once(session: SessionDep, body: Annotated[str, Body()]) -> str:
    """Be the victim of a deadlock, the first time."""
    if not victims:
        victims.append(True)
        raise_deadlock = "BEGIN RAISE EXCEPTION '' USING ERRCODE = '40P01'; END"
        await session.execute(text(f"DO $$ {raise_deadlock} $$"))
    return body


@app.put("/stale/{times}")
async def stale(times: int) -> int:
    """Lose to other changes of the same row that many times."""
    runs.append("stale")
    if len(runs) <= times:
        raise StaleDataError("1 row expected, 0 matched")
    return len(runs)


@app.get("/slow")
async def slow(session: SessionDep) -> None:
    runs.append("slow")
    await session.execute(text("SET LOCAL statement_timeout = 10"))
    await session.execute(text("SELECT pg_sleep(10)"))


@app.get("/changed")
async def changed(session: SessionDep) -> int:
    """Run a prepared statement whose table got another type in between."""
    rows = (await session.scalars(text("SELECT value FROM changed"))).all()
    return len(rows)


@app.post("/changed")
async def change_and_read(session: SessionDep) -> int:
    return await changed(session)


set_up(app)


@pytest.fixture
async def client() -> AsyncGenerator[AsyncClient]:
    async with client_of(app) as client:
        yield client


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("23505", 409),  # unique_violation
        ("23503", 409),  # foreign_key_violation
        ("23001", 409),  # restrict_violation
        ("23P01", 409),  # exclusion_violation
        ("23514", 422),  # check_violation
        ("44000", 422),  # with_check_option_violation
        ("22001", 422),  # string_data_right_truncation
        ("22003", 422),  # numeric_value_out_of_range
        ("54000", 422),  # program_limit_exceeded: a text too long for its index
        ("23502", 500),  # not_null_violation: the schema accepted a null
        ("25006", 503),  # read_only_sql_transaction
        ("40001", 503),  # serialization_failure
        ("40P01", 503),  # deadlock_detected
        ("53300", 503),  # too_many_connections
        ("55P03", 503),  # lock_not_available
        ("57014", 503),  # query_canceled
        ("57P01", 503),  # admin_shutdown
        ("42501", 500),  # insufficient_privilege
        ("42P01", 500),  # undefined_table
        ("P0001", 500),  # raise_exception
    ],
)
async def test_an_error_has_the_status_of_who_can_do_something_about_it(
    client: AsyncClient, state: str, status: int
) -> None:
    response = await client.post(f"/raise/{state}")

    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert ("retry-after" in response.headers) == (status == 503)
    assert "s3cret" not in response.text


@pytest.mark.parametrize(
    ("sql", "value"),
    [
        ("SELECT CAST(:value AS text)", "nul\0"),
        ("SELECT CAST(:value AS int)", 2**40),
        ("SELECT CAST(:value AS numeric(3, 1))", 1000),
        ("SELECT CAST(CAST(:value AS text) AS date)", "2026-02-30"),
        ("SELECT CAST(CAST(:value AS text) AS jsonb)", '"\\u0000"'),
        ("SELECT 'x' ~ :value", "("),
        ("SELECT 1 / CAST(:value AS int)", 0),
    ],
)
async def test_a_value_that_postgresql_cannot_store_is_a_bad_request(
    client: AsyncClient, sql: str, value: object
) -> None:
    response = await client.post("/run", json={"sql": sql, "value": value})

    assert response.status_code == 422
    assert response.json()["detail"] == (
        "The request holds a value that cannot be stored."
    )


FORGET = """DO $$ BEGIN
    CREATE TEMP TABLE form (needed int NOT NULL) ON COMMIT DROP;
    INSERT INTO form VALUES (NULL);
END $$"""


@pytest.mark.parametrize(
    ("sql", "value", "reason"),
    [
        ("SELECT 1 / 0", None, "DivisionByZeroError 22012 SELECT 1 / 0"),
        # Types that no client sends: validation makes what the column needs of its value.
        ("SELECT CAST(:value AS int)", "s3cret", "DataError 22000 'str' object cannot"),
        ("SELECT CAST(:value AS text)", 5, "expected str, got int"),
        ("SELECT CAST(:value AS int[])", "s3cret", "sized iterable container expected"),
        ("SELECT CAST(:value AS int), CAST($2 AS int)", 1, "expects 2 arguments"),
        (FORGET, None, "NotNullViolationError 23502 form needed"),
    ],
)
async def test_a_mistake_of_the_service_is_not_blamed_on_its_client(
    client: AsyncClient,
    caplog: pytest.LogCaptureFixture,
    sql: str,
    value: object,
    reason: str,
) -> None:
    response = await client.post("/run", json={"sql": sql, "value": value})

    assert response.status_code == 500
    (record,) = (r for r in caplog.records if r.msg == "unhandled error")
    assert record.exc_info
    logged = "".join(traceback.format_exception(*record.exc_info))
    assert reason in logged
    assert "await session.execute(" in logged
    assert "s3cret" not in logged


@pytest.mark.parametrize(("headers", "status"), [({}, 500), ({"X-Day": "never"}, 422)])
async def test_an_error_without_input_is_no_fault_of_the_client(
    client: AsyncClient,
    caplog: pytest.LogCaptureFixture,
    headers: dict[str, str],
    status: int,
) -> None:
    # With DEBUG, SQLAlchemy logs the parameters.
    caplog.set_level(logging.WARNING, logger="sqlalchemy.engine")

    response = await client.get("/default", headers=headers)

    assert response.status_code == status
    assert "s3cret" not in caplog.text


async def test_a_read_survives_the_loss_of_its_connection(client: AsyncClient) -> None:
    response = await client.get("/killed-once")

    assert (response.status_code, response.json()) == (200, 1)


@pytest.mark.parametrize(
    ("method", "headers", "statuses"),
    [
        ("PUT", {}, [200]),
        ("POST", {"Idempotency-Key": "1"}, [200]),
        ("POST", {"If-Match": '"1"'}, [200]),
        ("POST", {}, [503, 200]),
    ],
)
async def test_the_victim_of_a_deadlock_is_tried_again_if_it_may_be_repeated(
    client: AsyncClient, method: str, headers: dict[str, str], statuses: list[int]
) -> None:
    victims.clear()

    responses = [
        await client.request(method, "/conflicts-once", json="body", headers=headers)
        for _ in statuses
    ]

    assert [response.status_code for response in responses] == statuses
    assert responses[-1].json() == "body"


@pytest.mark.parametrize(
    ("expected", "times", "status", "attempts"),
    [("*", 0, 200, 1), ("*", 5, 200, 6), ("*", 1000, 412, 100), ('"1"', 5, 412, 1)],
)
async def test_a_change_of_any_version_is_tried_again_when_another_was_faster(
    client: AsyncClient, expected: str, times: int, status: int, attempts: int
) -> None:
    runs.clear()

    response = await client.put(f"/stale/{times}", headers={"If-Match": expected})

    assert (response.status_code, len(runs)) == (status, attempts)


async def test_a_request_with_a_long_body_is_not_kept_to_be_tried_again(
    client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_failures, "MAX_KEPT_BYTES", 1000)
    long = "x" * 1000
    victims.clear()

    responses = [await client.put("/conflicts-once", json=long) for _ in range(2)]

    assert [response.status_code for response in responses] == [503, 200]
    assert responses[-1].json() == long


async def test_a_request_is_tried_again_with_the_path_that_it_had() -> None:
    async def endpoint(request: Request) -> JSONResponse:
        async with read_session_factory() as session:
            return JSONResponse(await killed_once(session))

    outer = FastAPI()
    outer.mount("/beneath", Router([Route("/it", endpoint)]))
    set_up(outer)
    killed.clear()

    async with client_of(outer) as client:
        response = await client.get("/beneath/it")

    assert (response.status_code, response.json()) == (200, 1)


async def test_a_read_that_receives_its_body_is_retried_with_it(
    client: AsyncClient,
) -> None:
    killed.clear()

    response = await client.request("GET", "/killed-once-with-body", json="body")

    assert (response.status_code, response.json()) == (200, "body")


@pytest.mark.parametrize(
    ("detail", "fields"),
    [
        ("Key (name)=(x) already exists.", ["name"]),
        ("Schlüssel »(name, place)=(x, y)« existiert bereits.", ["name", "place"]),
        ("La clé « (name)=(x) » existe déjà.", ["name"]),
        ("Key (lower(name))=(x (a)=(b)) already exists.", []),
        (None, []),
    ],
)
def test_a_conflict_names_its_fields_whatever_language_the_server_speaks(
    detail: str | None, fields: list[str]
) -> None:
    error = asyncpg.PostgresError.new({"C": "23505", "D": detail})

    assert conflicting_fields(error) == fields


async def test_a_statement_that_takes_too_long_is_not_retried(
    client: AsyncClient,
) -> None:
    runs.clear()

    response = await client.get("/slow")

    assert (response.status_code, runs) == (503, ["slow"])
    assert response.json()["detail"] == "The database is unavailable. Try again."


async def test_a_slow_statement_is_logged_without_its_values(
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine = make_engine(settings.DATABASE_URL, replace(options, slow_statement=0.01))
    async with engine.connect() as connection:
        await connection.execute(text("SELECT pg_sleep(:s)"), {"s": 0.0123})
    await engine.dispose()

    (slow,) = (r for r in caplog.records if "pg_sleep(" in vars(r).get("sql", ""))
    assert slow.msg == "slow statement"
    assert "0.0123" not in str(vars(slow))


async def test_a_statement_that_times_out_is_logged_as_slow(
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine = make_engine(settings.DATABASE_URL, replace(options, slow_statement=0.05))
    async with engine.connect() as connection:
        await connection.execute(text("SET LOCAL statement_timeout = 100"))
        with pytest.raises(DBAPIError):
            await connection.execute(text("SELECT pg_sleep(10)"))
    await engine.dispose()

    slow = [vars(r)["sql"] for r in caplog.records if r.msg == "slow statement"]
    assert "SELECT pg_sleep(10)" in slow


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_type_that_changes_under_a_statement_is_no_fault_of_the_service(
    client: AsyncClient, method: str
) -> None:
    """A read is retried, a write may be sent again."""
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE changed AS SELECT 7 AS value"))
    try:
        await asyncio.gather(*(client.request(method, "/changed") for _ in range(3)))
        async with engine.begin() as connection:
            await connection.execute(
                text("ALTER TABLE changed ALTER value TYPE bigint")
            )

        seen = {(await client.request(method, "/changed")).status_code for _ in "abc"}
        last = await client.request(method, "/changed")
    finally:
        async with engine.begin() as connection:
            await connection.execute(text("DROP TABLE changed"))

    assert seen <= ({200} if method == "GET" else {200, 503})
    assert (last.status_code, last.json()) == (200, 1)


async def test_a_server_that_stops_responding_is_an_unavailable_database() -> None:
    """Not a TimeoutError, which a client of any other server raises too."""
    hasty = replace(options, statement_timeout=1)
    engine = make_engine(settings.DATABASE_URL, hasty)
    try:
        async with engine.connect() as connection:
            await connection.execute(text("SET statement_timeout = 0"))
            with pytest.raises(DatabaseUnavailableError, match="TimeoutError"):
                await connection.execute(text("SELECT pg_sleep(60)"))
        async with engine.connect() as connection:
            assert await connection.scalar(text("SELECT 1")) == 1
    finally:
        await engine.dispose()


async def test_a_server_that_cannot_be_reached_is_an_unavailable_database() -> None:
    nowhere = make_engine(make_url("postgresql+asyncpg://a@127.0.0.1:1/b"), options)
    read = CompiledRead(select(literal(1).label("one")), dict[str, Any])

    with pytest.raises(DatabaseUnavailableError, match="ConnectionRefusedError"):
        async with nowhere.connect():
            pass
    with pytest.raises(DatabaseUnavailableError, match="ConnectionRefusedError"):
        await Reader(nowhere, slow_statement=1).all(read)


async def test_a_connection_that_is_ended_while_it_opens_is_lost() -> None:
    """So a read is retried, as if the connection had been ended a moment later."""

    async def end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)
        fields = b"SFATAL\0C57P01\0Mterminating connection\0\0"
        writer.write(b"E" + (len(fields) + 4).to_bytes(4) + fields)
        writer.close()

    async with await asyncio.start_server(end, "127.0.0.1") as server:
        port = server.sockets[0].getsockname()[1]
        url = make_url(f"postgresql+asyncpg://a@127.0.0.1:{port}/b?ssl=disable")
        with pytest.raises(DBAPIError, match="terminating connection") as raised:
            async with make_engine(url, options).connect():
                pass

    assert is_connection_lost(raised.value)
