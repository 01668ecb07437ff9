"""Whose turn it is, and connections that died while nobody used them."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from contextvars import Context
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.core import pool
from app.core.database import engine

COUNT = 5


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


async def test_one_that_the_server_closed_is_replaced(drivers: list[Any]) -> None:
    async with engine.connect() as connection:
        kill = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        await connection.execute(text(kill))
    while sum(driver.is_closed() for driver in drivers) < COUNT - 1:  # noqa: ASYNC110
        await asyncio.sleep(0.01)

    assert await query_at_once() == [1] * COUNT


async def test_one_that_does_not_answer_after_idling_is_replaced(
    drivers: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no_answer(driver: Any) -> None:
        raise TimeoutError

    monkeypatch.setattr(pool, "PING_AFTER_IDLE_SECONDS", 0)
    monkeypatch.setattr(pool, "_ping", no_answer)

    async with engine.connect() as connection:
        raw = await connection.get_raw_connection()
        assert raw.driver_connection not in drivers


async def test_one_that_answers_after_idling_is_kept(
    drivers: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "PING_AFTER_IDLE_SECONDS", 0)

    async with engine.connect() as connection:
        raw = await connection.get_raw_connection()
        assert raw.driver_connection in drivers


async def test_who_has_a_turn_needs_no_second_one() -> None:
    turns = pool.Turns(1, timeout=0.01)
    async with turns:
        async with turns:
            pass

        async def another() -> None:
            async with turns:
                pass

        with pytest.raises(PoolTimeoutError):
            await asyncio.create_task(another(), context=Context())

    await asyncio.create_task(another(), context=Context())
