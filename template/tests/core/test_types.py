"""What columns store: those that have only an annotation, and decimals in statements."""

import enum
import uuid
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import (
    CheckConstraint,
    Column,
    ColumnElement,
    DateTime,
    MetaData,
    Numeric,
    Table,
    Text,
    bindparam,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import CompileError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.schema import CreateTable

from app.core.database import Base as ServiceBase
from app.core.database import engine, reader
from app.core.db.compiled_reads import CompiledRead
from app.core.db.types import check_enums
from app.models import IdentityPrimaryKeyMixin


class Base(DeclarativeBase):
    """Apart from the service's own tables."""

    metadata = MetaData(naming_convention=ServiceBase.metadata.naming_convention)
    type_annotation_map = ServiceBase.type_annotation_map


check_enums(Base.metadata)


class Color(enum.StrEnum):
    DARK_RED = "dark-red"
    GREEN = "green"


class Size(enum.IntEnum):
    SMALL = 1
    LARGE = 2


class Thing(IdentityPrimaryKeyMixin, Base):
    __tablename__ = "test_thing"

    made_at: Mapped[datetime | None]
    local: Mapped[datetime | None] = mapped_column(DateTime)
    color: Mapped[Color | None]
    other_color: Mapped[Color | None]
    size: Mapped[Size | None]
    document: Mapped[dict[str, Any] | None]
    steps: Mapped[list[dict[str, Any]] | None]
    tags: Mapped[list[str] | None]
    numbers: Mapped[list[int] | None]
    owners: Mapped[list[uuid.UUID] | None]


class Product(IdentityPrimaryKeyMixin, Base):
    __tablename__ = "test_product"

    price: Mapped[Decimal] = mapped_column(Numeric(10, 2))
    former_prices: Mapped[list[Decimal]] = mapped_column(ARRAY(Numeric(10, 2)))


@pytest.fixture(autouse=True)
async def tables(connection: AsyncConnection) -> None:
    await connection.run_sync(Base.metadata.create_all)


async def stored(session: AsyncSession, thing: Thing) -> Thing:
    """Return what another session reads of it."""
    session.add(thing)
    await session.flush()
    session.expire(thing)
    await session.refresh(thing)
    return thing


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("made_at", datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)),
        ("local", datetime(2026, 1, 2, 3, 4, 5, 678)),  # noqa: DTZ001
        ("color", Color.DARK_RED),
        ("size", Size.LARGE),
        ("document", {"a": [1, None, "ü"]}),
        ("steps", [{"a": 1}, {}]),
        ("tags", ["a", "ü"]),
        ("numbers", [1, -2]),
        ("owners", [uuid.UUID(int=1)]),
    ],
)
async def test_a_value_comes_back_as_it_was_stored(
    session: AsyncSession, name: str, value: object
) -> None:
    thing = await stored(session, Thing(**{name: value}))

    assert getattr(thing, name) == value


async def test_an_enum_is_stored_as_the_text_that_the_interface_shows(
    session: AsyncSession,
) -> None:
    await stored(session, Thing(color=Color.DARK_RED, size=Size.LARGE))

    row = (await session.execute(text("SELECT color, size FROM test_thing"))).one()

    assert row == ("dark-red", "LARGE")


@pytest.mark.parametrize("column", ["color", "other_color", "size"])
async def test_the_database_refuses_what_is_not_a_member(
    session: AsyncSession, column: str
) -> None:
    with pytest.raises(IntegrityError, match=f"ck_test_thing_{column}"):
        await session.execute(text(f"INSERT INTO test_thing ({column}) VALUES ('x')"))


async def test_a_document_may_hold_what_json_has_no_type_for(
    session: AsyncSession,
) -> None:
    document = {
        "id": uuid.UUID(int=1),
        "at": datetime(2026, 1, 2, tzinfo=UTC),
        "on": date(2026, 1, 2),
        "price": Decimal("0.10"),
        "color": Color.GREEN,
    }

    thing = await stored(session, Thing(document=document))

    assert thing.document == {
        "id": "00000000-0000-0000-0000-000000000001",
        "at": "2026-01-02T00:00:00Z",
        "on": "2026-01-02",
        "price": "0.10",
        "color": "green",
    }


async def test_none_is_null(session: AsyncSession) -> None:
    await stored(session, Thing(document=None, steps=None))

    query = select(Thing.id).where(Thing.document.is_(None), Thing.steps.is_(None))
    assert len((await session.scalars(query)).all()) == 1


async def test_a_change_in_place_is_saved(session: AsyncSession) -> None:
    thing = await stored(session, Thing(document={}, steps=[], tags=["a"]))
    assert thing.document is not None
    assert thing.steps is not None
    assert thing.tags is not None
    thing.document["a"] = 1
    thing.steps.append({"b": 2})
    thing.tags.remove("a")

    await stored(session, thing)

    assert (thing.document, thing.steps, thing.tags) == ({"a": 1}, [{"b": 2}], [])


@pytest.fixture
async def product(session: AsyncSession) -> Product:
    product = Product(price=Decimal(100), former_prices=[Decimal(90)])
    session.add(product)
    await session.flush()
    return product


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        (Product.price * Decimal("1.055"), Decimal("105.5")),
        (Product.price == Decimal("100.004"), False),
        (Product.price.in_([Decimal("100.004")]), False),
        (Product.price.between(Decimal("100.004"), Decimal("100.005")), False),
        (Product.former_prices.contains([Decimal("90.004")]), False),
    ],
)
async def test_a_decimal_in_a_statement_keeps_more_places_than_the_column_has(
    session: AsyncSession, product: Product, expression: ColumnElement[Any], value: Any
) -> None:
    assert await session.scalar(select(expression)) == value


async def test_a_price_is_raised_by_a_rate_with_all_its_places(
    session: AsyncSession, product: Product
) -> None:
    raised = update(Product).values(price=Product.price * Decimal("1.055"))
    await session.execute(raised)

    await session.refresh(product)
    assert product.price == Decimal("105.50")


async def test_a_decimal_of_a_compiled_read_keeps_more_places_than_the_column_has(
    session: AsyncSession, product: Product
) -> None:
    raised = (Product.price * bindparam("rate", type_=Numeric(10, 2))).label("raised")
    read = CompiledRead(select(raised), dict[str, Any])

    rows = await reader.all(read, rate=Decimal("1.055"))

    assert rows == [{"raised": Decimal("105.5")}]


def test_a_colon_that_begins_a_parameter_in_the_sql_of_a_table_is_refused() -> None:
    def sql_of_a_table(check: str) -> str:
        table = Table(
            "test_colon", MetaData(), Column("name", Text), CheckConstraint(check)
        )
        return str(CreateTable(table).compile(dialect=engine.dialect))

    with pytest.raises(CompileError, match="':none'.*backslash"):
        sql_of_a_table("name <> ':none'")
    assert "name <> ':none'" in sql_of_a_table(r"name <> '\:none'")
