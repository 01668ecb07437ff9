"""What the trouble of PostgreSQL becomes, through HTTP and on a real one."""

from collections.abc import AsyncGenerator
from typing import Annotated

import pytest
from fastapi import Body, FastAPI, Request
from httpx2 import AsyncClient
from sqlalchemy import text
from starlette.responses import JSONResponse
from starlette.routing import Route, Router

from app.core import database_errors, slow_statements
from app.core.application import set_up
from app.core.database import ReadSessionDep, SessionDep, read_session_factory
from tests.conftest import client_of

app = FastAPI()
killed = []
victims = []


@app.post("/raise/{state}")
async def raise_state(session: SessionDep, state: str) -> None:
    """Let PostgreSQL report an error of its own."""
    if not state.isalnum():
        raise ValueError(state)
    body = f"BEGIN RAISE EXCEPTION 's3cret' USING ERRCODE = '{state}'; END"
    await session.execute(text(f"DO $$ {body} $$"))


@app.post("/store")
async def store(session: SessionDep, value: str) -> None:
    await session.execute(text("SELECT CAST(:value AS text)"), {"value": value})


@app.get("/killed-once")
async def killed_once(session: ReadSessionDep) -> int:
    """Lose the connection in use, the first time."""
    if not killed:
        killed.append(True)
        await session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
    return await session.scalar(text("SELECT 1"))


@app.put("/conflicts-once")
@app.post("/conflicts-once")
async def conflicts_once(session: SessionDep, body: Annotated[str, Body()]) -> str:
    """Be the victim of a deadlock, the first time."""
    if not victims:
        victims.append(True)
        raise_deadlock = "BEGIN RAISE EXCEPTION '' USING ERRCODE = '40P01'; END"
        await session.execute(text(f"DO $$ {raise_deadlock} $$"))
    return body


@app.get("/slow")
async def slow(session: SessionDep) -> None:
    await session.execute(text("SET LOCAL statement_timeout = 10"))
    await session.execute(text("SELECT pg_sleep(10)"))


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
        ("23P01", 409),  # exclusion_violation
        ("23514", 422),  # check_violation
        ("22003", 422),  # numeric_value_out_of_range
        ("25006", 503),  # read_only_sql_transaction
        ("40001", 503),  # serialization_failure
        ("40P01", 503),  # deadlock_detected
        ("53300", 503),  # too_many_connections
        ("55P03", 503),  # lock_not_available
        ("57014", 503),  # query_canceled
        ("57P01", 503),  # admin_shutdown
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


async def test_a_value_that_postgresql_cannot_store_is_a_bad_request(
    client: AsyncClient,
) -> None:
    response = await client.post("/store", params={"value": "nul\0"})

    assert response.status_code == 422


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


async def test_a_request_with_a_long_body_is_not_kept_to_be_tried_again(
    client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_errors, "MAX_KEPT_BYTES", 1000)
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


async def test_a_statement_that_takes_too_long_is_logged_and_not_tried_again(
    client: AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(slow_statements.settings, "DB_SLOW_STATEMENT", 0.009)

    response = await client.get("/slow")

    assert response.status_code == 503
    slow = [vars(r)["sql"] for r in caplog.records if r.msg == "slow statement"]
    assert "SELECT pg_sleep(10)" in slow
