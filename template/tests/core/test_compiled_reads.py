"""Compiled reads: what they return, and how they fail."""

import asyncio
import enum
import uuid
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import (
    ARRAY,
    Enum,
    Float,
    Numeric,
    any_,
    bindparam,
    func,
    literal,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, undefer

from app.core.application import set_up
from app.core.config import settings
from app.core.database import (
    ReaderDep,
    engine,
    get_reader,
    options,
    read_engine,
    reader,
)
from app.core.db.compiled_reads import CompiledRead, Reader
from app.core.db.engines import make_engine
from tests.conftest import client_of


class Color(enum.Enum):
    RED = "r"
    GREEN = "g"


class Base(DeclarativeBase):
    """Apart from the service's own tables."""


class Thing(Base):
    __tablename__ = "thing"

    key: Mapped[uuid.UUID] = mapped_column("id", primary_key=True)
    color: Mapped[Color]
    colors: Mapped[list[Color]] = mapped_column(ARRAY(Enum(Color)))
    document: Mapped[dict[str, Any]] = mapped_column(JSONB)
    price: Mapped[Decimal] = mapped_column(Numeric(10, 2))
    weight: Mapped[float] = mapped_column(Numeric(10, 3, asdecimal=False))
    length: Mapped[float]
    exact: Mapped[Decimal] = mapped_column(Float(asdecimal=True))
    made_at: Mapped[datetime]
    day: Mapped[date]
    takes: Mapped[timedelta]
    note: Mapped[str | None] = mapped_column(deferred=True)


Fields = dict[str, Any]
SOME = select(Thing).where(
    Thing.key == bindparam("key"),
    Thing.color == any_(bindparam("colors", type_=ARRAY(Enum(Color)))),
    Thing.length < 100,
)
THING = CompiledRead(SOME, Fields)
ONE = CompiledRead(select(literal(1).label("one")), Fields)
SLEEP = CompiledRead(
    select(func.pg_sleep(bindparam("seconds", type_=Float)).label("slept")), Fields
)
KILL = CompiledRead(
    select(func.pg_terminate_backend(func.pg_backend_pid()).label("killed")), Fields
)
MOODS = CompiledRead(
    select(
        func.cardinality(
            bindparam("moods", type_=ARRAY(Enum("sad", "glad", name="compiled_mood")))
        ).label("count")
    ),
    Fields,
)

app = FastAPI()
killed = []


@app.get("/killed-once")
async def killed_once(reader: ReaderDep) -> Fields | None:
    """Lose the connection in use, the first time."""
    if not killed:
        killed.append(True)
        await reader.first(KILL)
    return await reader.first(ONE)


@app.get("/sleep")
async def sleep(reader: ReaderDep, seconds: float) -> None:
    await reader.first(SLEEP, seconds=seconds)


@app.get("/moods")
async def moods(reader: ReaderDep) -> Fields | None:
    return await reader.first(MOODS, moods=["sad", "glad"])


set_up(app)


@pytest.fixture
async def client() -> AsyncGenerator[AsyncClient]:
    async with client_of(app) as client:
        yield client


def use(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the routes of this module read with another reader."""
    monkeypatch.setitem(app.dependency_overrides, get_reader, lambda: reader)


@pytest.fixture
async def thing(connection: AsyncConnection, session: AsyncSession) -> Thing:
    """A row that only the transaction of the test has."""
    await connection.run_sync(Base.metadata.create_all)
    thing = Thing(
        key=uuid.uuid4(),
        color=Color.GREEN,
        colors=[Color.RED, Color.GREEN],
        document={"a": [1, None, "ü"]},
        price=Decimal("10.50"),
        weight=1.125,
        length=2.5,
        exact=Decimal("0.5"),
        made_at=datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC).replace(tzinfo=None),
        day=date(2026, 1, 2),
        takes=timedelta(days=1, microseconds=5),
        note="Only asked for by name",
    )
    session.add(thing)
    await session.flush()
    session.expunge(thing)
    return thing


async def test_a_row_has_the_values_that_a_session_gives(
    session: AsyncSession, thing: Thing
) -> None:
    stored = await session.get_one(Thing, thing.key, options=[undefer(Thing.note)])
    names = [attribute.key for attribute in Thing.__mapper__.column_attrs]
    expected = {name: getattr(stored, name) for name in names}

    row = await reader.first(THING, key=thing.key, colors=[Color.GREEN])

    assert row == expected
    assert {name: type(value) for name, value in row.items()} == {
        name: type(value) for name, value in expected.items()
    }


async def test_a_read_without_a_match_returns_nothing(thing: Thing) -> None:
    other = {"key": thing.key, "colors": [Color.RED]}

    assert await reader.first(THING, **other) is None
    assert await reader.all(THING, **other) == []


@pytest.mark.parametrize("values", [{}, {"seconds": 0, "minutes": 1}])
async def test_a_value_too_few_or_too_many_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=r"Expected \['seconds'\]"):
        await reader.all(SLEEP, **values)


def test_a_select_that_needs_other_sql_for_other_values_is_refused() -> None:
    several = select(Thing).where(Thing.color.in_(bindparam("colors", expanding=True)))

    with pytest.raises(ValueError, match="The SQL depends on the values"):
        CompiledRead(several, Fields)


def test_a_value_that_is_made_by_each_execution_is_refused() -> None:
    made = select(bindparam("one", callable_=lambda: 1, type_=Float).label("one"))

    with pytest.raises(ValueError, match="depends on the execution"):
        CompiledRead(made, Fields)


def test_a_select_with_two_columns_of_one_name_is_refused() -> None:
    with pytest.raises(ValueError, match="label one"):
        CompiledRead(select(Thing, Thing.color), Fields)


async def test_a_compiled_read_that_fails_leaves_the_test_transaction_usable(
    thing: Thing,
) -> None:
    broken = CompiledRead(select(func.substr("a", 1, -1).label("part")), Fields)

    with pytest.raises(Exception, match="negative substring length"):
        await reader.all(broken)

    assert await reader.first(THING, key=thing.key, colors=[Color.GREEN])


async def test_a_compiled_read_survives_the_loss_of_its_connection(
    client: AsyncClient,
) -> None:
    response = await client.get("/killed-once")

    assert (response.status_code, response.json()) == (200, {"one": 1})


async def test_a_type_of_a_parameter_may_be_made_again(client: AsyncClient) -> None:
    for _ in range(3):
        async with engine.begin() as connection:
            type_ = "CREATE TYPE compiled_mood AS ENUM ('sad', 'glad')"
            await connection.execute(text(type_))
        response = await client.get("/moods")
        async with engine.begin() as connection:
            await connection.execute(text("DROP TYPE compiled_mood"))
        assert response.json() == {"count": 2}


async def test_a_compiled_read_that_takes_too_long_is_a_503_without_a_retry(
    client: AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    hasty = create_async_engine(
        settings.DATABASE_URL,
        connect_args={"server_settings": {"statement_timeout": "200"}},
    )
    use(Reader(hasty, slow_statement=0.19), monkeypatch)

    response = await client.get("/sleep?seconds=60")
    await hasty.dispose()

    assert response.status_code == 503
    assert "slow statement" in caplog.messages
    assert response.headers["retry-after"] == "1"
    errors = [line for line in caplog.messages if line.startswith("database error")]
    assert errors == ["database error: QueryCanceledError 57014"]


async def test_a_slow_compiled_read_is_logged_without_its_values(
    client: AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    use(Reader(read_engine, slow_statement=0.01), monkeypatch)

    await client.get("/sleep?seconds=0.0123")

    (slow,) = (r for r in caplog.records if "pg_sleep(" in vars(r).get("sql", ""))
    assert slow.msg == "slow statement"
    assert "pg_sleep($1::FLOAT)" in vars(slow)["sql"]
    assert "0.0123" not in str(vars(slow))


async def test_a_canceled_compiled_read_leaks_no_connection() -> None:
    small = replace(options, pool_size=3, max_overflow=0, pool_timeout=60)
    few = make_engine(settings.DATABASE_URL, small)
    reader = Reader(few, slow_statement=60)
    # Opens all connections first, so that reads are canceled and not connecting.
    await asyncio.gather(*(reader.first(ONE) for _ in range(5)))
    reads = [asyncio.create_task(reader.all(SLEEP, seconds=60)) for _ in range(5)]
    await asyncio.sleep(0.2)
    for read in reads:
        read.cancel()
    await asyncio.gather(*reads, return_exceptions=True)

    assert few.sync_engine.pool.status().endswith("Current Checked out connections: 0")
    assert (
        await asyncio.gather(*(reader.first(ONE) for _ in range(5))) == [{"one": 1}] * 5
    )
    await few.dispose()


async def test_behind_a_pgbouncer_no_statement_has_a_name() -> None:
    pooled = create_async_engine(
        settings.DATABASE_URL, connect_args={"statement_cache_size": 0}, pool_size=1
    )
    statements = text("SELECT count(*) FROM pg_prepared_statements WHERE name <> ''")

    for _ in range(3):
        assert await Reader(pooled, slow_statement=1).first(ONE) == {"one": 1}

    async with pooled.connect() as connection:
        assert await connection.scalar(statements) == 0
    await pooled.dispose()
