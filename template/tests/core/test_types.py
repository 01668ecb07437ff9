"""Columns that have only an annotation."""

import enum
import uuid
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import DateTime, MetaData, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from app.core.database import Base as ServiceBase
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
