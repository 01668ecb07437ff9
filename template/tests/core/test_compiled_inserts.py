"""Compiled inserts: what they store, what they refuse, and how they fail."""

import enum
import uuid
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from pydantic import BaseModel
from sqlalchemy import (
    CheckConstraint,
    Column,
    Computed,
    Enum,
    Float,
    ForeignKey,
    Integer,
    Numeric,
    Sequence,
    Table,
    Text,
    TypeDecorator,
    event,
    func,
    inspect,
    literal,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import StatementError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    MappedAsDataclass,
    Session,
    column_property,
    mapped_column,
    relationship,
    validates,
)

from app.core.application import set_up
from app.core.database import WriterDep, async_session_factory, engine, writer
from app.core.db.compiled_inserts import AutocommitWriter, CompiledInsert, SessionWriter
from app.models.base import UUIDPrimaryKeyMixin, VersionMixin
from tests.conftest import client_with_tables

Fields = dict[str, Any]
made: list[int] = []


class Color(enum.Enum):
    RED = "r"
    GREEN = "g"


class Reversed(TypeDecorator[str]):
    """Stored the other way around."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return value and value[::-1]

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return value and value[::-1]


class Base(DeclarativeBase):
    """Apart from the service's own tables."""


class Manual(Base):
    __tablename__ = "insert_manual"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(deferred=True, deferred_raiseload=True)


class Shelf(Base):
    __tablename__ = "insert_shelf"

    id: Mapped[int] = mapped_column(primary_key=True)

    def __len__(self) -> int:
        return 0


class Thing(UUIDPrimaryKeyMixin, VersionMixin, Base):
    __tablename__ = "insert_thing"
    __table_args__ = (CheckConstraint("price >= 0", name="price"),)

    name: Mapped[str] = mapped_column(unique=True)
    secret: Mapped[str | None] = mapped_column("hidden", Reversed)
    color: Mapped[Color] = mapped_column(Enum(Color), default=Color.GREEN)
    price: Mapped[Decimal] = mapped_column(Numeric(10, 2), default=Decimal("1.50"))
    tags: Mapped[list[str]] = mapped_column(JSONB, default=list)
    document: Mapped[Any] = mapped_column(JSONB, nullable=True)
    weight: Mapped[float | None] = mapped_column(Float, default=func.abs(-2.5))
    place: Mapped[str] = mapped_column(server_default="cellar")
    double: Mapped[Decimal] = mapped_column(Numeric, Computed("price * 2"))
    shelf_id: Mapped[int | None] = mapped_column(ForeignKey("insert_shelf.id"))
    shelf: Mapped[Shelf | None] = relationship(lazy="raise")
    parts: Mapped[list["Part"]] = relationship(lazy="raise")

    @hybrid_property
    def loud(self) -> str:
        return self.name.upper()

    @loud.inplace.expression
    @classmethod
    def _loud(cls) -> Any:
        return func.upper(cls.name, type_=Text)

    @validates("name")
    def _without_spaces(self, _: str, name: str) -> str:
        if not name:
            raise ValueError("a name is needed")
        return name.strip()


class Part(Base):
    __tablename__ = "insert_part"

    id: Mapped[int] = mapped_column(primary_key=True)
    thing_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("insert_thing.id"))


NUMBERS = Sequence("insert_numbers", metadata=Base.metadata)


class Fatal(Base):
    """Loses its connection while a row is inserted."""

    __tablename__ = "insert_fatal"

    id: Mapped[int] = mapped_column(primary_key=True)
    end: Mapped[str] = mapped_column(
        server_default=func.pg_terminate_backend(func.pg_backend_pid())
    )

    def __init__(self) -> None:
        made.append(len(made))


class Unknown(Base):
    """Asks PostgreSQL for what does not exist, by a number that no rollback gives back."""

    __tablename__ = "insert_unknown"

    id: Mapped[int] = mapped_column(primary_key=True)
    valid: Mapped[bool] = mapped_column(
        server_default=func.amvalidate(NUMBERS.next_value())
    )


class Loud(BaseModel):
    loud: str
    secret: str


MANUAL = CompiledInsert(Manual, Fields)
THING = CompiledInsert(Thing, Fields)
LOUD = CompiledInsert(Thing, Loud)
PART = CompiledInsert(Part, Fields)
FATAL = CompiledInsert(Fatal, Fields)
UNKNOWN = CompiledInsert(Unknown, Fields)

app = FastAPI()


@app.post("/things")
async def add_thing(writer: WriterDep, new: Fields) -> Fields:
    return await writer.add(THING, Thing(**new))


@app.post("/fatal")
async def add_fatal(writer: WriterDep) -> None:
    await writer.add(FATAL, Fatal())


@app.post("/unknown")
async def add_unknown(writer: WriterDep) -> None:
    await writer.add(UNKNOWN, Unknown())


set_up(app)


@pytest.fixture
async def tables(connection: AsyncConnection) -> None:
    await connection.run_sync(Base.metadata.create_all)


@pytest.fixture
async def client() -> AsyncGenerator[AsyncClient]:
    """A client whose requests commit."""
    # The connections know the enum type of a test before this one by its number.
    await engine.dispose()
    async with client_with_tables(app, Base.metadata) as client:
        yield client


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"color": Color.RED, "price": Decimal(7), "secret": "abc", "tags": ["a", "b"]},
        {"color": None, "price": None, "secret": None, "place": None, "weight": None},
        {"place": "attic", "weight": 0.5, "document": {"a": [1, None]}},
        {"document": None, "created_at": datetime(2026, 1, 2, tzinfo=UTC)},
        {"id": uuid.UUID(int=7), "version": 5},
    ],
    ids=["only-required", "types", "null", "server-side", "json-null", "own-key"],
)
async def test_a_row_is_what_a_session_would_have_stored(
    session: AsyncSession, tables: None, values: Fields
) -> None:
    names = [attribute.key for attribute in inspect(Thing).column_attrs]
    stored = Thing(name=" Lamp ", **values)
    session.add(stored)
    await session.flush()
    await session.refresh(stored)
    expected = {name: getattr(stored, name) for name in names}
    await session.delete(stored)
    await session.flush()

    row = await writer.add(THING, Thing(name=" Lamp ", **values))
    read = await session.get_one(Thing, row["id"])

    assert row == {name: getattr(read, name) for name in names}
    if "id" not in values:
        del row["id"], expected["id"]
    assert row == expected
    assert row["name"] == "Lamp"
    assert {name: type(value) for name, value in row.items()} == {
        name: type(value) for name, value in expected.items()
    }


@pytest.mark.parametrize(
    ("values", "stored"), [({}, None), ({"document": None}, "null")]
)
async def test_only_a_none_that_is_given_is_the_null_of_json(
    session: AsyncSession, tables: None, values: Fields, stored: str | None
) -> None:
    await writer.add(THING, Thing(name="Lamp", **values))

    kind = select(func.jsonb_typeof(Thing.document))
    assert (await session.scalars(kind)).one() == stored


async def test_a_row_has_the_fields_of_its_type(tables: None) -> None:
    row = await writer.add(LOUD, Thing(name="Lamp", secret="abc"))

    assert row == Loud(loud="LAMP", secret="abc")


async def test_a_validator_of_the_model_refuses_a_value(tables: None) -> None:
    with pytest.raises(ValueError, match="a name is needed"):
        await writer.add(THING, Thing(name=""))


async def test_a_value_that_a_type_refuses_is_an_error_as_in_a_session(
    tables: None, session: AsyncSession
) -> None:
    values: Fields = {"name": "Lamp", "color": "blue", "tags": [object()]}

    with pytest.raises(StatementError) as alone:
        await writer.add(THING, Thing(**values))
    with pytest.raises(StatementError) as expected:
        await SessionWriter(session).add(THING, Thing(**values))

    assert type(alone.value) is type(expected.value)
    assert type(alone.value.orig) is type(expected.value.orig)


async def test_a_row_is_part_of_the_test_transaction(
    session: AsyncSession, tables: None
) -> None:
    await writer.add(THING, Thing(name="Lamp"))
    with pytest.raises(Exception, match="price"):
        await writer.add(THING, Thing(name="Chair", price=-1))

    assert (await session.scalars(select(Thing.name))).all() == ["Lamp"]


async def test_a_row_is_committed_before_the_response(client: AsyncClient) -> None:
    response = await client.post("/things", json={"name": "Lamp"})

    async with engine.connect() as connection:
        names = (await connection.scalars(select(Thing.name))).all()
    assert response.json()["version"] == 1
    assert names == ["Lamp"]


async def test_a_constraint_is_a_problem_as_through_a_session(
    client: AsyncClient,
) -> None:
    responses = [
        await client.post("/things", json={"name": "Lamp", **new})
        for new in ({}, {}, {"name": "Chair", "price": -1}, {"shelf_id": 7})
    ]

    assert [response.status_code for response in responses] == [200, 409, 422, 409]
    assert responses[1].json()["fields"] == ["name"]


async def test_a_write_whose_connection_is_lost_is_not_repeated(
    client: AsyncClient,
) -> None:
    made.clear()

    response = await client.post("/fatal")

    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"
    assert made == [0]


async def test_a_write_that_fails_within_postgresql_is_not_repeated(
    client: AsyncClient,
) -> None:
    response = await client.post("/unknown")

    async with engine.connect() as connection:
        assert await connection.scalar(select(NUMBERS.next_value())) == 2
    assert response.status_code == 503


async def test_a_slow_insert_is_logged_without_its_values(
    client: AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    await AutocommitWriter(engine, slow_statement=0).add(THING, Thing(name="s3cret"))

    (slow,) = (vars(r) for r in caplog.records if r.msg == "slow statement")
    assert slow["sql"].startswith("INSERT INTO insert_thing")
    assert "s3cret" not in str(slow)


async def test_in_a_session_a_row_is_part_of_its_transaction(
    client: AsyncClient,
) -> None:
    values: Fields = {
        "name": " Lamp ",
        "price": Decimal("1.239"),
        "created_at": datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=2))),
    }
    async with async_session_factory() as session:
        row = await SessionWriter(session).add(THING, Thing(**values))
        await session.rollback()
    alone = await writer.add(THING, Thing(**values))

    for differing in ("id", "updated_at"):
        del row[differing], alone[differing]
    # As text, which shows the time zone and the order too.
    assert str(row) == str(alone)


async def test_in_a_session_a_row_has_what_the_session_does_not_load(
    tables: None, session: AsyncSession
) -> None:
    row = await SessionWriter(session).add(MANUAL, Manual(text="Read me."))

    assert row == {"id": 1, "text": "Read me."}


class OtherBase(DeclarativeBase):
    """For models that cannot be inserted, without tables."""


class Key(OtherBase):
    __abstract__ = True

    id: Mapped[int] = mapped_column(primary_key=True)


class Audited(Key):
    __tablename__ = "audited"


@event.listens_for(Audited, "before_insert")
def write_down(*_: object) -> None:
    """Stand for an entry of an audit log."""


class Animal(Key):
    __tablename__ = "animal"
    __mapper_args__ = {"polymorphic_on": "kind"}  # noqa: RUF012

    kind: Mapped[str]


class Dog(Animal):
    __mapper_args__ = {"polymorphic_identity": "dog"}  # noqa: RUF012


def first_letter(context: Any) -> str:
    return context.get_current_parameters()["name"][0]


class Dependent(Key):
    __tablename__ = "dependent"

    name: Mapped[str]
    initial: Mapped[str] = mapped_column(default=first_letter)


class Dataclass(MappedAsDataclass, OtherBase):
    __tablename__ = "dataclass"

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    number: Mapped[int] = mapped_column(default=7)


class Counted(Key):
    __tablename__ = "counted"

    others: Mapped[int] = column_property(
        select(func.count()).select_from(Audited.__table__).scalar_subquery()
    )


class Partial(OtherBase):
    __table__ = Table(
        "partial",
        OtherBase.metadata,
        Column("id", Integer, primary_key=True),
        Column("x", Integer, default=1),
    )
    __mapper_args__ = {"exclude_properties": ["x"]}  # noqa: RUF012


class Forgotten(OtherBase):
    """Has a column that only PostgreSQL fills, as one that is about to be dropped."""

    __table__ = Table(
        "forgotten",
        OtherBase.metadata,
        Column("id", Integer, primary_key=True),
        Column("x", Integer, nullable=False, server_default="1"),
    )
    __mapper_args__ = {"exclude_properties": ["x"]}  # noqa: RUF012


class Joined(OtherBase):
    __table__ = Audited.__table__.join(
        Dependent.__table__, Audited.__table__.c.id == Dependent.__table__.c.id
    )
    id: Mapped[int] = column_property(Audited.__table__.c.id, Dependent.__table__.c.id)


def test_a_column_without_an_attribute_is_left_to_postgresql() -> None:
    statement, arguments = CompiledInsert(Forgotten, dict).prepare(Forgotten(id=7))

    assert arguments == [7]
    assert "INSERT INTO forgotten (id)" in statement._sql


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (Audited, "has a listener to before_insert"),
        (Animal, "shares its table by inheritance"),
        (Dog, "shares its table by inheritance"),
        (Dependent, "default of dependent.initial has a parameter"),
        (Dataclass, "is a dataclass"),
        (Counted, "'others' is a query of its own"),
        (Partial, "partial.x has a default and no attribute"),
        (Joined, "is not mapped to a table"),
        (Audited.__table__, "is not a model"),
        (Color, "is not a model"),
    ],
)
def test_a_model_that_only_a_session_can_insert_is_refused(
    model: Any, reason: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=reason):
        CompiledInsert(model, Fields)


@pytest.mark.parametrize(
    ("instance", "reason"),
    [
        (lambda: Thing(name="a", parts=[Part()]), "parts would have to be saved"),
        (lambda: Thing(name="a", shelf=Shelf()), "shelf would have to be saved"),
        (lambda: Thing(name="a", weight=func.random()), "weight is an SQL expression"),
        (lambda: Thing(name="a", weight=literal(1)), "weight is an SQL expression"),
        (lambda: Part(id=1), "Expected a new Thing"),
    ],
    ids=["children", "parent", "function", "literal", "other-model"],
)
async def test_an_instance_that_only_a_session_can_insert_is_refused(
    tables: None, instance: Callable[[], Any], reason: str
) -> None:
    with pytest.raises(TypeError, match=reason):
        await writer.add(THING, instance())


async def test_an_instance_of_a_session_is_refused(
    session: AsyncSession, tables: None
) -> None:
    thing = Thing(name="Lamp")
    session.add(thing)

    with pytest.raises(TypeError, match="in no session"):
        await writer.add(THING, thing)


@pytest.mark.parametrize("name", ["after_insert", "refresh_flush"])
async def test_a_listener_that_is_added_later_stops_compiled_inserts(
    tables: None, name: str
) -> None:
    event.listen(Thing, name, write_down)
    try:
        with pytest.raises(ValueError, match="has a listener"):
            await writer.add(THING, Thing(name="Lamp"))
        with pytest.raises(ValueError, match=name):
            CompiledInsert(Thing, Fields)
    finally:
        event.remove(Thing, name, write_down)

    assert await writer.add(THING, Thing(name="Lamp"))


@pytest.mark.parametrize(
    "name", ["before_flush", "after_begin", "before_commit", "pending_to_persistent"]
)
async def test_a_listener_of_sessions_stops_compiled_inserts(
    tables: None, name: str
) -> None:
    event.listen(Session, name, write_down)
    try:
        with pytest.raises(RuntimeError, match=f"a listener to '{name}'"):
            await writer.add(THING, Thing(name="Lamp"))
    finally:
        event.remove(Session, name, write_down)

    assert await writer.add(THING, Thing(name="Lamp"))


async def test_a_key_that_postgresql_generates_is_in_the_row(tables: None) -> None:
    thing = await writer.add(THING, Thing(name="Lamp"))

    rows = [await writer.add(PART, Part(thing_id=thing["id"])) for _ in range(2)]

    assert [row["id"] for row in rows] == [1, 2]
