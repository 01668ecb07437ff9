"""The metrics of pools, statements and the event loop."""

import asyncio
import time
from dataclasses import replace

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.config import settings
from app.core.database import options
from app.core.db.engines import make_replica_engine
from app.core.otel import loop_lag
from app.core.otel.engines import measuring
from app.core.otel.loop_lag import watch_loop
from app.core.otel.pools import measure_connecting, observe
from app.core.otel.statements import summary
from tests.core.otel.sent import Sent


async def test_a_pool_reports_its_connections_also_after_it_was_disposed_of(
    measured: AsyncEngine, sent: Sent
) -> None:
    observe([measured])

    def now() -> tuple[float, float, float]:
        count = "db.client.connection.count"
        used = sent.value(count, db_client_connection_state="used")
        idle = sent.value(count, db_client_connection_state="idle")
        return used, idle, sent.value("db.client.connection.max")

    before = now()
    await measured.dispose()
    async with measured.connect():
        during = now()
    after = now()

    assert (before, during, after) == ((0, 0, 1), (1, 0, 1), (0, 1, 1))


async def test_the_pool_of_a_replica_has_a_name_of_its_own(
    measured: AsyncEngine, sent: Sent
) -> None:
    one = measuring(replace(options, pool_size=1, max_overflow=0))
    replica = make_replica_engine(settings.DATABASE_URL, one, primary=measured)
    measure_connecting(replica)

    async with replica.connect() as connection:
        await connection.execute(text("SELECT 1"))

    name = "db.client.connection.create_time"
    assert sent.count(name, db_client_connection_pool_name="replica") == 1
    assert sent.count(name, db_client_connection_pool_name="primary") == 0
    assert sent.count("db.client.operation.duration", db_operation_name="SELECT") >= 1
    await replica.dispose()


async def test_each_statement_is_measured_with_what_it_failed_with(
    measured: AsyncEngine, sent: Sent
) -> None:
    async with measured.connect():
        sent.clear()  # What opening a connection has run.
    async with measured.connect() as connection:
        for _ in range(3):
            await connection.execute(text("SELECT 1"))
        with pytest.raises(Exception, match="division"):
            await connection.execute(text("SELECT 1/0"))

    name = "db.client.operation.duration"
    assert sent.count(name, db_operation_name="BEGIN") == 1
    assert sent.count(name, db_operation_name="ROLLBACK") == 1
    assert sent.count(name, error_type="DivisionByZeroError") == 1
    assert sent.count(name, db_response_status_code="22012") == 1


@pytest.mark.parametrize(
    ("sql", "name"),
    [
        ("SELECT lamp.id \nFROM lamp, room", "SELECT lamp"),
        ('select "id" from app."lamp" where x', "SELECT app.lamp"),
        ("INSERT INTO lamp (id) VALUES ($1)", "INSERT lamp"),
        ("UPDATE lamp SET id = $1", "UPDATE lamp"),
        ("DELETE FROM lamp", "DELETE lamp"),
        ("SELECT extract(epoch FROM created_at) \nFROM lamp", "SELECT lamp"),
        ("SELECT f(trim(a FROM b), (1)) FROM lamp WHERE (x)", "SELECT lamp"),
        ("SELECT a IS DISTINCT FROM b FROM lamp", "SELECT lamp"),
        ("SELECT count(*) FROM (SELECT lamp.id FROM lamp) AS x", "SELECT lamp"),
        ("SELECT extract(epoch FROM now())", "SELECT"),
        ("INSERT INTO lamp(id) VALUES ($1)", "INSERT lamp"),
        ("BEGIN ISOLATION LEVEL READ COMMITTED;", "BEGIN"),
        ("SELECT 1", "SELECT"),
        ("  -- a comment", "SQL"),
    ],
)
def test_a_statement_is_named_after_its_operation_and_table(
    sql: str, name: str
) -> None:
    assert summary(sql)[0] == name


async def test_a_blocked_event_loop_is_measured(
    sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_lag, "INTERVAL_SECONDS", 0.01)
    watch = asyncio.create_task(watch_loop())
    await asyncio.sleep(0)

    time.sleep(0.2)  # noqa: ASYNC251
    await asyncio.sleep(0.02)

    watch.cancel()
    assert sent.count("app.event_loop.lag") >= 1
    assert sent.maximum("app.event_loop.lag") > 0.1
