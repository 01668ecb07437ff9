"""Reads on a replica, and what becomes of them when it is lost."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import event, func, make_url, select, text
from sqlalchemy.exc import DBAPIError

from app.core.config import settings
from app.core.database import engine, options
from app.core.db import replica
from app.core.db.compiled_reads import CompiledRead, Reader
from app.core.db.engines import make_engine, make_replica_engine


class Replica:
    """The database of the tests under another name, which can be lost."""

    def __init__(self) -> None:
        self.lost = False
        self.now = 0
        self.engine = make_replica_engine(
            settings.DATABASE_URL, options, primary=engine
        )
        event.listen(self.engine.sync_engine, "do_connect", self._connect)

    def _connect(self, _: Any, __: Any, ___: Any, options: dict[str, Any]) -> None:
        names = {**options["server_settings"], "application_name": "replica"}
        options["server_settings"] = names
        if self.lost:
            options["host"] = "/nowhere"

    async def execute(self, sql: str) -> Any:
        async with self.engine.connect() as connection:
            return await connection.scalar(text(sql))

    async def answers(self) -> bool:
        """Return whether it is the replica that answers a read."""
        return await self.execute("SHOW application_name") == "replica"


@pytest.fixture
async def reads(monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Replica]:
    reads = Replica()
    monkeypatch.setattr(replica, "monotonic", lambda: reads.now)
    yield reads
    await reads.engine.dispose()


async def test_reads_go_to_the_primary_until_the_replica_is_back(
    reads: Replica,
) -> None:
    seen = [await reads.answers()]
    reads.lost = True
    await reads.engine.dispose()
    seen.append(await reads.answers())
    reads.now += replica.RETRY_SECONDS
    seen.append(await reads.answers())
    reads.lost = False
    reads.now += replica.RETRY_SECONDS
    seen.append(await reads.answers())

    assert seen == [True, False, False, True]


async def test_new_connections_do_not_each_try_a_lost_replica(
    reads: Replica,
) -> None:
    reads.lost = True
    await reads.answers()
    reads.lost = False
    await reads.engine.dispose()

    assert not await reads.answers()


@pytest.mark.parametrize("is_compiled", [False, True])
async def test_a_replica_that_hung_delays_no_further_read(
    reads: Replica, is_compiled: bool
) -> None:
    compiled = CompiledRead(select(func.pg_sleep(60).label("slept")), dict[str, Any])
    seen = await asyncio.gather(reads.answers(), reads.answers())
    reads.lost = True
    reads.now += replica.RETRY_SECONDS
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await (
                Reader(reads.engine, slow_statement=1).all(compiled)
                if is_compiled
                else reads.execute("SELECT pg_sleep(60)")
            )

    assert seen == [True, True]
    assert not await reads.answers()


@pytest.mark.parametrize("lost", [False, True])
async def test_a_write_is_refused_by_whoever_answers(
    reads: Replica, lost: bool
) -> None:
    reads.lost = lost

    with pytest.raises(DBAPIError, match="read-only transaction"):
        await reads.execute("CREATE TABLE written (id int)")


async def test_a_lost_replica_leads_to_a_primary_behind_a_pgbouncer() -> None:
    behind = replace(options, pgbouncer=True)
    primary = make_engine(settings.DATABASE_URL, behind)
    nowhere = make_url("postgresql+asyncpg://a@127.0.0.1:1/b")
    reads = make_replica_engine(nowhere, behind, primary=primary)

    async with reads.connect() as connection:
        assert await connection.scalar(text("SELECT 1")) == 1
    await primary.dispose()
