"""Lists in pages, by columns of every kind with the worst values that PostgreSQL stores."""

import enum
from base64 import urlsafe_b64encode
from typing import Annotated, Any

import pytest
from pydantic import AfterValidator, BaseModel
from sqlalchemy import (
    CHAR,
    REAL,
    BigInteger,
    Boolean,
    Date,
    DateTime,
    Double,
    Enum,
    Float,
    ForeignKey,
    Index,
    Integer,
    Interval,
    Numeric,
    Select,
    SmallInteger,
    String,
    Text,
    Time,
    TypeDecorator,
    UniqueConstraint,
    Uuid,
    cast,
    collate,
    func,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import CITEXT, INET, distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, aliased, mapped_column
from sqlalchemy.types import TypeEngine

from app.core.database import reader
from app.core.db.compiled_pages import CompiledPages
from app.core.db.pagination import Keyset, Page, PageQuery, ResultPage, get_page
from app.core.errors import InvalidError


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
TEXTS = ["", " ", "a", "A", "ä", "Z", "z", "\U0001f600", "\n", '"', "%", "x" * 1000]
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
    "text of a collation": (Text(collation="C"), TEXTS, None),
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
        type_ = str(model.value.type.compile(connection.dialect)).partition(" COLL")[0]
    await connection.execute(
        text(
            f"INSERT INTO {name} SELECT row_number() OVER (), CAST(value AS {type_})"
            " FROM unnest(CAST(:values AS text[])) AS value, generate_series(1, 3)"
        ),
        {"values": values},
    )


async def walk(
    session: AsyncSession, select: Select[Any], keyset: Keyset, *, is_compiled: bool
) -> list[int]:
    """Return the ids of all pages."""
    found: list[int] = []
    pages = CompiledPages(select, Row, orders={"it": keyset})
    query = PageQuery(limit=2)
    while True:
        page: Page[Row] | ResultPage[Any]
        if is_compiled:
            page = await pages.get(reader, query, sort="it")
        else:
            page = await get_page(session, select, keyset, query)
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
        await assert_pages_hold_every_row(session, select(model), keyset)


async def assert_pages_hold_every_row(
    session: AsyncSession, select: Select[Any], keyset: Keyset
) -> None:
    """Compare the pages of a session, and those that are compiled, with the whole list."""
    whole = await session.scalars(select.order_by(None).order_by(*keyset.by))
    expected = [row.id for row in whole]
    session.expunge_all()
    for is_compiled in (False, True):
        assert await walk(session, select, keyset, is_compiled=is_compiled) == expected


class Writer(Base):
    __tablename__ = "keyset_writer"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Book(Base):
    __tablename__ = "keyset_book"
    __table_args__ = (
        UniqueConstraint("shelf", "place"),
        Index("keyset_book_code", "code", unique=True, postgresql_where=text("id > 9")),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    shelf: Mapped[int]
    place: Mapped[int]
    code: Mapped[str]
    isbn: Mapped[str | None] = mapped_column(unique=True)
    pages: Mapped[int | None]
    address: Mapped[str] = mapped_column(INET)
    writer_id: Mapped[int | None] = mapped_column(ForeignKey(Writer.id))


@pytest.fixture
async def books(connection: AsyncConnection, session: AsyncSession) -> None:
    tables: list[Any] = [Writer.__table__, Book.__table__]
    await connection.run_sync(Base.metadata.create_all, tables)
    session.add_all(
        Writer(id=i, name=name) for i, name in enumerate(["Bo", "al", "Al"])
    )
    await session.flush()
    session.add_all(
        Book(
            id=i,
            title="aAbBäz"[i % 6],
            shelf=i // 4,
            place=i % 4,
            code=str(i),
            pages=i % 3 or None,
            address=f"10.0.0.{i % 5}",
            writer_id=i % 4 if i % 4 < 3 else None,
        )
        for i in range(24)
    )
    await session.flush()


Other = aliased(Book)
LOWER = func.lower(Book.title, type_=Text)
BOOKS = select(Book)
WRITTEN = BOOKS.outerjoin(Writer)


ORDERS: dict[str, tuple[Select[Any], list[Any]]] = {
    "lower case": (BOOKS, [LOWER, Book.id]),
    "a collation": (BOOKS, [collate(Book.title, "C"), Book.id]),
    "a number for null": (BOOKS, [func.coalesce(Book.pages, 0), Book.id]),
    "two that may be null": (BOOKS, [Book.pages, Book.writer_id, Book.id]),
    "a cast": (BOOKS, [cast(Book.address, Text), Book.id]),
    "a unique pair": (BOOKS, [Book.shelf, Book.place]),
    "another's column": (BOOKS.join(Writer), [Writer.name, Book.id]),
    "a column that may be missing": (WRITTEN, [Writer.name, Writer.id, Book.id]),
    "an alias": (select(Other), [Other.title, Other.id]),
    "an order of its own": (BOOKS.order_by(Book.id.desc()), [Book.title, Book.id]),
    "distinct rows": (BOOKS.distinct(), [Book.title, Book.id]),
}


@pytest.mark.parametrize("descending", [False, True], ids=["ascending", "descending"])
@pytest.mark.parametrize(("select", "columns"), ORDERS.values(), ids=ORDERS)
async def test_every_row_is_in_exactly_one_page_by(
    session: AsyncSession,
    books: None,
    select: Select[Any],
    columns: list[Any],
    descending: bool,
) -> None:
    keyset = Keyset(*columns, descending=descending)

    await assert_pages_hold_every_row(session, select, keyset)


@pytest.mark.parametrize(
    "columns",
    [
        [Book.title],
        [Book.shelf],
        [Book.code],
        [Book.isbn],
        [LOWER],
        [],
    ],
)
def test_an_order_in_which_rows_may_be_equal_is_refused(columns: list[Any]) -> None:
    with pytest.raises(TypeError, match="End with a unique column"):
        Keyset(*columns)


def test_a_type_that_does_not_go_into_a_cursor_is_refused_with_a_way_out() -> None:
    with pytest.raises(TypeError, match=r"such as cast\(Book.address, Text\)"):
        Keyset(Book.address, Book.id)


async def test_a_row_without_the_unique_column_is_an_error_and_not_the_end(
    session: AsyncSession, books: None
) -> None:
    missing = select(Writer).outerjoin(Book, Book.writer_id == Writer.id + 9)

    with pytest.raises(ValueError, match="null in a row"):
        await get_page(session, missing, Keyset(Book.id), PageQuery(limit=2))


def test_an_expression_of_unknown_type_is_refused_with_a_way_out() -> None:
    with pytest.raises(TypeError, match="type_=Text"):
        Keyset(func.lower(Book.title), Book.id)


@pytest.mark.parametrize(
    "part", [BOOKS.limit(3), BOOKS.offset(1), BOOKS.ext(distinct_on(Book.shelf))]
)
async def test_a_query_whose_rows_depend_on_the_page_is_refused(
    session: AsyncSession, part: Select[Any]
) -> None:
    keyset = Keyset(Book.id)

    with pytest.raises(ValueError, match="would have other rows"):
        CompiledPages(part, Row, orders={"it": keyset}, filters={})
    with pytest.raises(ValueError, match="would have other rows"):
        await get_page(session, part, keyset, PageQuery())


async def test_a_text_that_no_cursor_holds_is_an_error_and_not_the_end(
    session: AsyncSession, books: None
) -> None:
    session.add_all(
        Book(id=i, title="ä" * 9000, shelf=i, place=9, code=str(i), address="::")
        for i in (50, 51, 52)
    )
    await session.flush()
    keyset = Keyset(Book.title, Book.id, descending=True)

    with pytest.raises(ValueError, match="too long for a cursor"):
        await get_page(session, BOOKS, keyset, PageQuery(limit=2))


class Masked(BaseModel):
    """Shows another title than the one that the list is sorted by."""

    id: int
    title: Annotated[str, AfterValidator(lambda title: title[:0])]


async def test_a_row_that_changes_a_value_does_not_change_the_pages(
    session: AsyncSession, books: None
) -> None:
    keyset = Keyset(Book.title, Book.id)
    pages = CompiledPages(BOOKS, Masked, orders={"it": keyset}, filters={})

    first = await pages.get(reader, PageQuery(limit=3), sort="it")
    second = await pages.get(reader, PageQuery(limit=30, cursor=first.next), sort="it")

    found = [row.id for row in [*first.items, *second.items]]
    assert found == list(await session.scalars(select(Book.id).order_by(*keyset.by)))


async def test_a_member_that_an_enum_does_not_have_is_no_cursor() -> None:
    for kind in ("native enum", "enum in a varchar"):
        model = MODELS[kind, False]
        cursor = urlsafe_b64encode(b'["r",1]').decode()
        with pytest.raises(InvalidError):
            Keyset(model.value, model.id).position(cursor)
