"""The sessions of a request, and what becomes of its changes."""

from collections.abc import AsyncGenerator
from datetime import UTC, date, datetime

import pytest
from fastapi import FastAPI, HTTPException
from httpx2 import AsyncClient
from sqlalchemy import DateTime, UniqueConstraint, insert, literal, select, text
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped

from app.core.application import set_up
from app.core.config import settings
from app.core.database import ReadSessionDep, SessionDep, options
from app.core.db.engines import make_engine
from app.models import IdentityPrimaryKeyMixin
from tests.conftest import client_with_tables

app = FastAPI()
kept: list[AsyncSession] = []


class Base(DeclarativeBase):
    """Apart from the service's own tables."""


class Number(IdentityPrimaryKeyMixin, Base):
    __tablename__ = "test_number"
    # Only the commit looks whether a value is unique.
    __table_args__ = (UniqueConstraint("value", deferrable=True, initially="DEFERRED"),)

    value: Mapped[int]


@app.post("/{value}")
async def write(session: SessionDep, value: int, *, fail: bool = False) -> None:
    session.add(Number(value=value))
    await session.flush()
    if fail:
        raise HTTPException(400)


@app.post("/twice/{value}")
async def write_twice(session: SessionDep, value: int) -> None:
    number = Number(value=value)
    session.add(number)
    await session.commit()
    number.value += 1


@app.post("/unused/session")
async def keep(session: SessionDep) -> None:
    kept.append(session)


@app.get("/")
async def read(session: ReadSessionDep) -> list[int]:
    return list(await session.scalars(select(Number.value).order_by(Number.id)))


@app.post("/by-mistake/add")
async def add_by_mistake(session: ReadSessionDep) -> None:
    session.add(Number(value=1))


@app.post("/by-mistake/insert")
async def insert_by_mistake(session: ReadSessionDep) -> None:
    await session.execute(insert(Number).values(value=1))


set_up(app)


@pytest.fixture
async def client() -> AsyncGenerator[AsyncClient]:
    async with client_with_tables(app, Base.metadata) as client:
        yield client


async def test_a_request_is_committed_before_its_response(
    client: AsyncClient,
) -> None:
    await client.post("/1")

    assert (await client.get("/")).json() == [1]


async def test_a_request_that_fails_leaves_nothing_behind(client: AsyncClient) -> None:
    response = await client.post("/1?fail=true")

    assert response.status_code == 400
    assert (await client.get("/")).json() == []


async def test_a_commit_that_fails_reaches_the_client(client: AsyncClient) -> None:
    responses = [await client.post("/1"), await client.post("/1")]

    assert [response.status_code for response in responses] == [200, 409]
    assert responses[1].json()["fields"] == ["value"]
    assert (await client.get("/")).json() == [1]


@pytest.mark.parametrize("mistake", ["add", "insert"])
async def test_a_session_for_reading_refuses_to_write(
    client: AsyncClient, caplog: pytest.LogCaptureFixture, mistake: str
) -> None:
    response = await client.post(f"/by-mistake/{mistake}")

    assert response.status_code == 500
    assert "depend on SessionDep instead" in caplog.text
    assert (await client.get("/")).json() == []


async def test_a_change_after_a_commit_of_the_route_itself_is_committed_too(
    client: AsyncClient,
) -> None:
    await client.post("/twice/1")

    assert (await client.get("/")).json() == [2]


async def test_a_session_cannot_be_used_after_its_request(client: AsyncClient) -> None:
    await client.post("/unused/session")

    with pytest.raises(InvalidRequestError, match="closed"):
        await kept.pop().scalars(select(Number.value))


async def test_a_day_begins_at_midnight_utc_whatever_the_time_zone_of_the_server() -> (
    None
):
    engine = make_engine(settings.DATABASE_URL, options)
    name = engine.dialect.identifier_preparer.quote(str(settings.DATABASE_URL.database))
    midnight = literal(datetime(2026, 1, 31, tzinfo=UTC), DateTime(timezone=True))

    async with engine.begin() as connection:
        await connection.execute(
            text(f"ALTER DATABASE {name} SET timezone = 'Asia/Tokyo'")
        )
    await engine.dispose()
    try:
        async with engine.begin() as connection:
            begins = await connection.scalar(select(midnight == date(2026, 1, 31)))
    finally:
        async with engine.begin() as connection:
            await connection.execute(text(f"ALTER DATABASE {name} RESET timezone"))
        await engine.dispose()

    assert begins is True
