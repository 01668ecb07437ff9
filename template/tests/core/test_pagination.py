"""Lists in pages, of a table with columns of every kind that an order can be by."""

import json
import uuid
from base64 import urlsafe_b64encode
from datetime import UTC, date, datetime
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy import (
    BigInteger,
    DateTime,
    LargeBinary,
    SmallInteger,
    bindparam,
    delete,
    select,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import DeclarativeBase, InstrumentedAttribute, Mapped, mapped_column

from app.core.database import reader
from app.core.db.compiled_pages import CompiledPages
from app.core.db.pagination import Keyset, PageQuery, ResultPage, get_page
from app.core.errors import InvalidError
from app.models import UUIDPrimaryKeyMixin

NEW_YEAR = datetime(2026, 1, 1, 12, 30, 15, 123456, UTC)


class Base(DeclarativeBase):
    """Apart from the service's own tables."""


class Event(UUIDPrimaryKeyMixin, Base):
    __tablename__ = "test_event"

    title: Mapped[str]
    small: Mapped[int] = mapped_column(SmallInteger)
    number: Mapped[int]
    big: Mapped[int] = mapped_column(BigInteger)
    day: Mapped[date]
    time: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    data: Mapped[bytes] = mapped_column(LargeBinary)


class Row(BaseModel):
    id: uuid.UUID
    number: int
    time: datetime


def event(number: int) -> Event:
    return Event(
        title=f"ü {number // 2}",
        small=number // 2 - 2**15,
        number=number // 2,
        big=2**63 - 10 + number // 2,
        day=date(2026, 1, 1 + number // 2),
        time=NEW_YEAR.replace(microsecond=number // 2),
        data=b"",
    )


@pytest.fixture(autouse=True)
async def events(connection: AsyncConnection, session: AsyncSession) -> None:
    await connection.run_sync(Base.metadata.create_all)
    session.add_all(event(number) for number in range(2, 9))
    await session.flush()


async def page(
    session: AsyncSession, order: Keyset, cursor: str | None = None
) -> ResultPage[Event]:
    query = PageQuery(limit=2, cursor=cursor)
    return await get_page(session, select(Event), order, query)


def cursor_of(content: object) -> str:
    text = content if isinstance(content, str) else json.dumps(content)
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize(
    "column",
    [Event.title, Event.small, Event.number, Event.big, Event.day, Event.time],
    ids=lambda column: column.key,
)
async def test_the_pages_of_every_order_hold_every_row_once(
    session: AsyncSession, column: InstrumentedAttribute[Any], descending: bool
) -> None:
    order = Keyset(column, Event.id, descending=descending)
    expected = (await session.scalars(select(Event).order_by(*order.by))).all()

    found, cursor = [], None
    while not found or cursor:
        rows = await page(session, order, cursor)
        found += rows.items
        cursor = rows.next

    assert found == list(expected)


@pytest.mark.parametrize("title", [None, "ü 2"])
@pytest.mark.parametrize("sort", ["number", "-time"])
async def test_pages_that_are_compiled_are_those_of_a_session(
    session: AsyncSession, sort: str, title: str | None
) -> None:
    orders = {
        "number": Keyset(Event.number, Event.id),
        "-time": Keyset(Event.time, Event.id, descending=True),
    }
    filters = {"title": Event.title == bindparam("title")}
    pages = CompiledPages(select(Event), Row, orders=orders, filters=filters)
    expected = select(Event).order_by(*orders[sort].by)
    if title is not None:
        expected = expected.where(Event.title == title)

    found, query = [], PageQuery(limit=2)
    while query:
        rows = await pages.get(reader, query, sort=sort, title=title)
        found += [row.id for row in rows.items]
        query = PageQuery(limit=2, cursor=rows.next) if rows.next else None

    assert found == [event.id for event in await session.scalars(expected)]


async def test_rows_added_and_deleted_between_two_pages_shift_nothing(
    session: AsyncSession,
) -> None:
    order = Keyset(Event.number, Event.id)
    first = await page(session, order)
    everything = (await session.scalars(select(Event).order_by(*order.by))).all()

    session.add(event(0))
    await session.execute(delete(Event).where(Event.id == first.items[-1].id))
    second = await page(session, order, first.next)

    assert [*first.items, *second.items] == everything[:4]


async def test_a_list_without_rows_is_a_page_without_a_next_one(
    session: AsyncSession,
) -> None:
    await session.execute(delete(Event))

    assert await page(session, Keyset(Event.id)) == ResultPage([], None)


ID = str(uuid.UUID(int=1))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        (Event.title, "nul\0"),
        (Event.title, 1),
        (Event.title, None),
        (Event.small, 2**15),
        (Event.number, 2**31),
        (Event.number, -(2**31) - 1),
        (Event.number, 10**400),
        (Event.number, 1.5),
        (Event.number, True),
        (Event.number, "1"),
        (Event.number, float("inf")),
        (Event.number, float("nan")),
        (Event.big, 2**63),
        (Event.day, "Infinity"),
        (Event.day, "0000-01-01"),
        (Event.time, "epoch"),
        (Event.time, "2026-01-01T00:00:00"),
        (Event.time, "9999-12-31T23:59:59-23:59"),
        (Event.time, "0001-01-01T00:00:00+23:59"),
        (Event.time, 10**30),
    ],
    ids=lambda value: getattr(value, "key", None) or str(value)[:20],
)
def test_a_cursor_of_values_that_its_columns_never_have_is_refused(
    column: InstrumentedAttribute[Any], value: object
) -> None:
    with pytest.raises(InvalidError):
        Keyset(column, Event.id).position(cursor_of([value, ID]))


@pytest.mark.parametrize(
    "cursor",
    [
        *("", "x", "=", "====", "ü", "\0", "../..", "AAAA", "a" * 2000, "_-_-"),
        "\n" + cursor_of([1, ID]),
        *map(cursor_of, ["[", "null", "{}", "[]", "[1]", f'["\\ud800", "{ID}"]']),
        *map(
            cursor_of, [[1, ID, 1], [1, "x"], [1, None], [[1], ID], [1, 1], "[" * 1500]
        ),
    ],
    ids=ascii,
)
def test_a_garbled_cursor_is_refused_by_the_name_of_its_parameter(cursor: str) -> None:
    with pytest.raises(InvalidError) as refused:
        Keyset(Event.number, Event.id).position(cursor)

    assert refused.value.members["errors"][0]["loc"] == ["query", "cursor"]


def test_a_column_that_no_cursor_can_hold_is_refused_at_import() -> None:
    with pytest.raises(TypeError, match=r"Event\.data"):
        Keyset(Event.data, Event.id)
