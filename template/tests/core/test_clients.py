"""The clients that tests of a service use."""

import asyncio
from collections.abc import AsyncGenerator
from contextvars import ContextVar

import anyio
import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import literal, select, text
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import StreamingResponse
from starlette.testclient import TestClient

from app.core.database import ReaderDep, SessionDep, engine
from app.core.db.compiled_reads import CompiledRead
from tests import conftest
from tests.conftest import client_of
from tests.live_server import live_server

ONE = CompiledRead(select(literal(1).label("one")), dict[str, int])

app = FastAPI()
tenant: ContextVar[str | None] = ContextVar("tenant", default=None)


@app.get("/endless")
async def stream() -> StreamingResponse:
    async def ticks() -> AsyncGenerator[str]:
        while True:
            yield "tick\n"
            await asyncio.sleep(0.01)

    return StreamingResponse(ticks(), media_type="text/plain")


@app.get("/database")
async def use_the_database(session: SessionDep) -> bool:
    return (await session.connection()).in_transaction()


@app.get("/reader")
async def use_the_reader(reader: ReaderDep) -> None:
    await reader.all(ONE)


@pytest.mark.parametrize("name", ["first", "second"])
async def test_a_test_sees_no_context_variable_that_another_has_set(name: str) -> None:
    before = tenant.get()
    tenant.set(name)

    assert (before, tenant.get()) == (None, name)


async def test_a_live_client_reads_a_stream_that_has_no_end(
    live_client: AsyncClient,
) -> None:
    assert (await live_client.get("/livez")).status_code == 200

    async with (
        live_server(app) as url,
        live_client.stream("GET", f"{url}/endless") as response,
    ):
        lines = response.aiter_lines()
        assert [await anext(lines) for _ in range(3)] == ["tick"] * 3


async def test_a_response_that_does_not_end_fails_the_test_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(conftest, "RESPONSE_SECONDS", 0.1)

    with pytest.raises(pytest.fail.Exception, match="use `live_client` for a stream"):
        async with client_of(app) as client:
            await client.get("/endless")


def request_from_another_loop(path: str) -> None:
    with TestClient(app) as other:
        other.get(path)


async def test_another_event_loop_does_not_get_the_connections_of_the_tests() -> None:
    async with engine.connect():
        pass
    # Not in a thread: as in a test, this loop does nothing meanwhile. Otherwise both would
    # close the connection, which SQLAlchemy terminates in the other one.
    with pytest.raises(RuntimeError, match="Instead of Starlette's TestClient"):
        request_from_another_loop("/database")

    async with engine.connect() as connection:
        assert not connection.closed


@pytest.mark.parametrize("path", ["/database", "/reader"])
async def test_another_event_loop_does_not_get_the_transaction_of_a_test(
    connection: AsyncConnection, path: str
) -> None:
    with pytest.raises(RuntimeError, match="Instead of Starlette's TestClient"):
        await anyio.to_thread.run_sync(request_from_another_loop, path)

    assert await connection.scalar(text("SELECT 1")) == 1
