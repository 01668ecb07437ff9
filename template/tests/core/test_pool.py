"""Fair queueing, and connections that died while nobody used them."""

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import event, text
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.core.application import set_up
from app.core.config import settings
from app.core.database import SessionDep, async_session_factory, engine, options
from app.core.db import pool
from app.core.db.engines import make_engine
from app.core.db.failures import DatabaseUnavailableError
from tests.conftest import client_of

COUNT = 5

app = FastAPI()


@pytest.fixture
async def drivers() -> AsyncGenerator[list[Any]]:
    """The pooled connections as the driver sees them, none of them in use."""
    await engine.dispose()
    drivers = []
    async with AsyncExitStack() as stack:
        for _ in range(COUNT):
            connection = await stack.enter_async_context(engine.connect())
            drivers.append((await connection.get_raw_connection()).driver_connection)
    yield drivers
    await engine.dispose()


async def query_at_once() -> list[int]:
    """Use every pooled connection at the same time."""

    async def query() -> int:
        async with engine.connect() as connection:
            return await connection.scalar(text("SELECT 1"))

    return await asyncio.gather(*(query() for _ in range(COUNT)))


async def test_a_connection_that_the_server_closed_is_replaced(
    drivers: list[Any],
) -> None:
    async with engine.connect() as connection:
        kill = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        await connection.execute(text(kill))
    async with asyncio.timeout(10):
        while sum(driver.is_closed() for driver in drivers) < COUNT - 1:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    assert await query_at_once() == [1] * COUNT


async def test_a_connection_that_does_not_respond_after_idling_is_replaced(
    drivers: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no_answer(driver: Any) -> None:
        raise TimeoutError

    monkeypatch.setattr(pool, "PING_AFTER_IDLE_SECONDS", 0)
    monkeypatch.setattr(pool, "_ping", no_answer)

    async with engine.connect() as connection:
        raw = await connection.get_raw_connection()
        assert raw.driver_connection not in drivers


async def test_a_connection_that_responds_after_idling_is_kept(
    drivers: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "PING_AFTER_IDLE_SECONDS", 0)

    async with engine.connect() as connection:
        raw = await connection.get_raw_connection()
        assert raw.driver_connection in drivers


@pytest.fixture
async def single() -> AsyncGenerator[AsyncEngine]:
    """An engine with one connection."""
    only = replace(options, pool_size=1, max_overflow=0, pool_timeout=60)
    engine = make_engine(settings.DATABASE_URL, only)
    yield engine
    await engine.dispose()


async def test_connections_are_handed_out_in_order_of_arrival(
    single: AsyncEngine,
) -> None:
    served: list[str] = []

    async def query(name: str) -> None:
        async with single.connect() as connection:
            served.append(name)
            await connection.execute(text("SELECT 1"))

    async with single.connect():
        waiting = [asyncio.create_task(query(f"waiting {n}")) for n in range(5)]
        await asyncio.sleep(0)
    await query("newcomer")
    await asyncio.gather(*waiting)

    assert served == [*(f"waiting {n}" for n in range(5)), "newcomer"]


async def test_a_full_pool_is_a_timeout_and_serves_again_afterwards() -> None:
    only = replace(options, pool_size=1, max_overflow=0, pool_timeout=0.1)
    engine = make_engine(settings.DATABASE_URL, only)
    async with engine.connect():
        with pytest.raises(PoolTimeoutError):
            await engine.connect()

    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT 1")) == 1
    await engine.dispose()


async def test_waiters_that_are_cancelled_or_time_out_lose_no_connection() -> None:
    few = replace(options, pool_size=COUNT, max_overflow=0, pool_timeout=0.02)
    engine = make_engine(settings.DATABASE_URL, few)
    chance = random.Random(1)

    async def use() -> None:
        async with engine.connect():
            await asyncio.sleep(0.001)

    async def open_all() -> None:
        async with AsyncExitStack() as stack:
            for _ in range(COUNT):
                await stack.enter_async_context(engine.connect())

    # Connected before, so that only waiting is canceled.
    await open_all()
    for _ in range(20):
        tasks = [asyncio.create_task(use()) for _ in range(30)]
        for task in chance.sample(tasks, 10):
            asyncio.get_running_loop().call_later(chance.random() / 50, task.cancel)
        await asyncio.gather(*tasks, return_exceptions=True)

    await open_all()
    await engine.dispose()


async def test_the_slot_of_a_connection_that_cannot_be_opened_goes_to_the_next_in_line(
    single: AsyncEngine,
) -> None:
    """The next task would wait until its timeout for a connection that never comes."""
    fails = [True, False]

    @event.listens_for(single.sync_engine, "do_connect")
    def _(_: Any, __: Any, ___: Any, options: dict[str, Any]) -> None:
        if fails.pop(0):
            options["host"] = "/nowhere"

    results = await asyncio.gather(
        single.connect().start(), single.connect().start(), return_exceptions=True
    )

    assert isinstance(results[0], DatabaseUnavailableError)
    assert isinstance(results[1], AsyncConnection)
    await results[1].close()


@app.post("/numbers/{number}")
async def use_a_session(session: SessionDep, number: int) -> None:
    await session.execute(text("SELECT 1"))


set_up(app)


@pytest.fixture
async def full(monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[AsyncClient]:
    """A client while all connections of the service are taken."""
    only = replace(options, pool_size=1, max_overflow=0, pool_timeout=0.1)
    taken = make_engine(settings.DATABASE_URL, only)
    bind = async_session_factory.kw["bind"]
    async_session_factory.configure(bind=taken)
    async with client_of(app) as client, taken.connect():
        yield client
    async_session_factory.configure(bind=bind)
    await taken.dispose()


async def test_an_invalid_request_does_not_wait_for_a_connection(
    full: AsyncClient,
) -> None:
    invalid = await full.post("/numbers/none")
    valid = await full.post("/numbers/1")

    assert invalid.status_code == 422
    assert valid.status_code == 503
    assert valid.json()["detail"] == "The service is busy. Try again."
