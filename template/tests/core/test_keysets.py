"""Lists in pages, by columns of every kind with the worst values that PostgreSQL stores."""

import enum
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy import (
    CHAR,
    JSON,
    REAL,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Double,
    Enum,
    Float,
    ForeignKey,
    Index,
    Integer,
    Interval,
    MetaData,
    Numeric,
    SmallInteger,
    String,
    Table,
    Text,
    Time,
    TypeDecorator,
    UniqueConstraint,
    Uuid,
    bindparam,
    cast,
    collate,
    column,
    func,
    select,
    table,
    text,
)
from sqlalchemy.dialects.postgresql import CITEXT, INET
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.types import TypeEngine

from app.core.database import reader
from app.core.db.compiled_pages import CompiledPages
from app.core.db.pagination import Keyset, Page, PageQuery, ResultPage, get_page


class Color(enum.Enum):
    """Neither names nor values are in the order of the type."""

    RED = "r"
    GREEN = "g"
    BLUE = "z"


class Mirrored(TypeDecorator[str]):
    """A type whose values in Python have another order than what is stored."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:
        return value and value[::-1]

    process_result_value = process_bind_param


class Base(DeclarativeBase):
    """Apart from the service's own tables."""


ENDLESS = ["infinity", "-infinity", "0001-01-01", "9999-12-31", "2026-01-01"]
MOMENTS = [
    *ENDLESS,
    *("9999-12-31 23:59:59.999999", "2026-01-01 00:00:00.000001"),
    *("1883-11-18 12:00:00", "2026-10-25 02:30:00"),
]
TEXTS = ["", " ", "a", "A", "ä", "Z", "z", "\U0001f600", "\n", '"', "%", "x" * 3000]
NUMBERS = ["0", "-1", "1", "0.1", "NaN"]
# Of each kind: its type, the values as PostgreSQL reads them, and the type in PostgreSQL
# where it is another.
KINDS: dict[str, tuple[TypeEngine[Any], list[str], str | None]] = {
    "smallint": (SmallInteger(), ["0", "-32768", "32767"], None),
    "integer": (Integer(), ["0", "-2147483648", "2147483647"], None),
    "bigint": (
        BigInteger(),
        ["0", "-9223372036854775808", "9223372036854775807"],
        None,
    ),
    "boolean": (Boolean(), ["true", "false"], None),
    "numeric": (
        Numeric(),
        [*NUMBERS, "Infinity", "-Infinity", "1e-30", "9" * 40, "1.10", "1.1"],
        None,
    ),
    "numeric as float": (
        Numeric(20, 18, asdecimal=False),
        ["0.1", f"0.{'1' * 18}"],
        None,
    ),
    "real": (REAL(), [*NUMBERS, "Infinity", "-Infinity", "3e38", "1e-45"], None),
    "double": (
        Double(),
        [*NUMBERS, "Infinity", "-Infinity", "1e308", "5e-324", "-0"],
        None,
    ),
    "float as decimal": (Float(asdecimal=True), ["0.1", "0.10000000000000001"], None),
    "text": (Text(), TEXTS, None),
    "text in a language": (Text(collation="und-x-icu"), TEXTS, None),
    "char": (CHAR(5), ["", "a", "ab", "A", "ab  x"], None),
    "citext": (CITEXT(), ["a", "A", "b", "B", "C", "aa"], None),
    "citext as text": (Text(), ["a", "A", "b", "B", "C", "aa"], "citext"),
    "uuid": (Uuid(), [f"{n:032x}" for n in (0, 1, 2**128 - 1, 2**64)], None),
    "uuid as text": (Uuid(as_uuid=False), [f"{n:032x}" for n in (0, 1, 2**127)], None),
    "date": (Date(), ENDLESS, None),
    "timestamp": (DateTime(), MOMENTS, None),
    "timestamptz": (DateTime(timezone=True), [f"{m}+00" for m in MOMENTS[2:]], None),
    "timestamptz without end": (DateTime(timezone=True), ENDLESS[:2] * 2, None),
    "time": (Time(), ["00:00", "23:59:59.999999", "12:30:00.000001"], None),
    "interval": (
        Interval(),
        ["0", "1 year", "360 days", "365 days", "1 mon -30 days", "-1 us", "25:00"],
        None,
    ),
    "native enum": (Enum(Color, name="color"), ["RED", "GREEN", "BLUE"], None),
    "enum in a varchar": (
        Enum(Color, native_enum=False),
        ["RED", "GREEN", "BLUE"],
        None,
    ),
    "decorated": (Mirrored(), ["ab", "ba", "aa", "bb"], None),
}


def model_of(kind: str, *, nullable: bool) -> type[Any]:
    """Return a model of a table with a column of a kind."""
    name = f"keyset {kind}{' or null' * nullable}"
    fields = {
        "__tablename__": name,
        "id": mapped_column(Integer, primary_key=True),
        "value": mapped_column(KINDS[kind][0], nullable=nullable),
    }
    return type(name, (Base,), fields)


MODELS = {
    (kind, nullable): model_of(kind, nullable=nullable)
    for kind in KINDS
    for nullable in (False, True)
}


class Row(BaseModel):
    """Has no column of the order."""

    id: int


async def store(
    connection: AsyncConnection, model: type[Any], values: list[Any], type_: str | None
) -> None:
    """Store each value in three rows, so that pages end between equal ones."""
    await connection.execute(text("CREATE EXTENSION IF NOT EXISTS citext"))
    await connection.run_sync(Base.metadata.create_all, [model.__table__])
    name = f'"{model.__tablename__}"'
    if type_:
        await connection.execute(text(f"ALTER TABLE {name} ALTER value TYPE {type_}"))
    else:
        type_ = str(model.value.type.compile(connection.dialect))
    await connection.execute(
        text(
            f"INSERT INTO {name} SELECT row_number() OVER (), CAST(value AS {type_})"
            " FROM unnest(CAST(:values AS text[])) AS value, generate_series(1, 3)"
        ),
        {"values": values},
    )


async def walk(
    session: AsyncSession, model: type[Any], keyset: Keyset, *, is_compiled: bool
) -> list[int]:
    """Return the ids of all pages."""
    found: list[int] = []
    pages = CompiledPages(select(model), Row, orders={"it": keyset}, filters={})
    query = PageQuery(limit=2)
    while True:
        page: Page[Row] | ResultPage[Any]
        if is_compiled:
            page = await pages.get(reader, query, sort="it")
        else:
            page = await get_page(session, select(model), keyset, query)
            session.expunge_all()
        found += [row.id for row in page.items]
        if page.next is None or len(found) > 1000:
            return found
        query = PageQuery(limit=2, cursor=page.next)


@pytest.mark.parametrize("nullable", [False, True], ids=["", "or null"])
@pytest.mark.parametrize("kind", KINDS)
async def test_every_row_is_in_exactly_one_page(
    connection: AsyncConnection, session: AsyncSession, kind: str, nullable: bool
) -> None:
    model = MODELS[kind, nullable]
    _, values, type_ = KINDS[kind]
    await store(connection, model, [*values, None] if nullable else values, type_)

    for descending in (False, True):
        keyset = Keyset(model.value, model.id, descending=descending)
        order = await session.scalars(select(model.id).order_by(*keyset.by))
        expected = order.all()
        for is_compiled in (False, True):
            assert (
                await walk(session, model, keyset, is_compiled=is_compiled) == expected
            )
