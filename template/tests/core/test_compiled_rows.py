"""What a compiled read selects for a row, and what it refuses when it is made."""

from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    RootModel,
    model_validator,
)
from sqlalchemy import (
    Column,
    ForeignKey,
    Integer,
    Numeric,
    bindparam,
    event,
    literal,
    literal_column,
    select,
    text,
    union_all,
)
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import (
    Bundle,
    DeclarativeBase,
    Mapped,
    Session,
    mapped_column,
    query_expression,
    relationship,
    synonym,
    with_loader_criteria,
)
from typing_extensions import TypedDict

from app.core.database import engine, reader
from app.core.db.compiled_pages import CompiledPages
from app.core.db.compiled_reads import CompiledRead, Reader
from app.core.db.failures import sqlstate
from app.core.db.pagination import Keyset, PageQuery
from app.core.db.session_listeners import leaves_reads_alone


class Base(DeclarativeBase):
    """Apart from the service's own tables."""


class User(Base):
    __tablename__ = "compiled_user"
    __mapper_args__ = {  # noqa: RUF012
        "polymorphic_on": "kind",
        "polymorphic_identity": "user",
    }

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    kind: Mapped[str]
    password: Mapped[str] = mapped_column(deferred=True)
    title = synonym("name")
    score: Mapped[int | None] = query_expression()
    posts: Mapped[list["Post"]] = relationship(lazy="raise")

    @hybrid_property
    def loud(self) -> str:
        return self.name + "!"

    @property
    def quiet(self) -> str:
        return self.name.lower()


class Admin(User):
    __mapper_args__ = {"polymorphic_identity": "admin"}  # noqa: RUF012


class Post(Base):
    __tablename__ = "compiled_post"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey(User.id))


class Open(BaseModel):
    model_config = ConfigDict(extra="allow", from_attributes=True)

    id: int


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", from_attributes=True)

    id: int


class Derived(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    title: str
    loud: str
    also: str = Field(validation_alias=AliasChoices("nothing", "name"))
    absent: int = 7


@dataclass
class Data:
    id: int
    name: str
    more: int = 3


class Typed(TypedDict):
    id: int
    name: str


class Whole(BaseModel):
    name: str

    @model_validator(mode="before")
    @classmethod
    def add_kind(cls, data: Any) -> Any:
        return {"name": f"{data['name']} {data['kind']} {sorted(data)}"}


USERS = select(User).order_by(User.id)


@pytest.fixture
async def users(connection: AsyncConnection, session: AsyncSession) -> None:
    await connection.run_sync(Base.metadata.create_all)
    session.add_all(
        [
            User(id=1, name="Ann", password="secret"),
            Admin(id=2, name="Ben", password="secret"),
            Admin(id=3, name="Ben", password="secret"),
        ]
    )
    await session.flush()
    session.expunge_all()


@pytest.mark.parametrize("row", [Open, Closed, Derived])
async def test_a_row_is_the_one_that_a_session_gives(
    session: AsyncSession, users: None, row: type[BaseModel]
) -> None:
    expected = [row.model_validate(user) for user in await session.scalars(USERS)]

    rows = await reader.all(CompiledRead(USERS, row))

    assert [row.model_dump() for row in rows] == [row.model_dump() for row in expected]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (Data, Data(1, "Ann")),
        (Typed, {"id": 1, "name": "Ann"}),
        (RootModel[Typed], RootModel[Typed]({"id": 1, "name": "Ann"})),
        (Typed | None, {"id": 1, "name": "Ann"}),
        (Whole, Whole.model_construct(name="Ann user ['id', 'kind', 'name']")),
    ],
)
async def test_a_row_of_any_record_type_gets_its_fields(
    users: None, row: Any, expected: Any
) -> None:
    assert await reader.first(CompiledRead(USERS, row)) == expected


async def test_only_the_columns_that_are_asked_for_are_selected(
    users: None, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "sqlalchemy.engine.Engine"):
        await reader.all(CompiledRead(USERS, Closed))

    assert "SELECT compiled_user.id AS id \n" in caplog.text


async def test_distinct_compares_all_that_is_loaded(users: None) -> None:
    class Name(BaseModel):
        model_config = ConfigDict(extra="forbid")

        name: str

    several = select(User).join(Post, literal(True)).distinct()
    read = CompiledRead(select(User).distinct().order_by(User.id), Name)

    assert [row.name for row in await reader.all(read)] == ["Ann", "Ben", "Ben"]
    assert await reader.all(CompiledRead(several, Name)) == []


async def test_a_constant_list_is_no_value_that_the_sql_depends_on(users: None) -> None:
    admins = select(Admin).where(Admin.id.in_([1, 2])).order_by(Admin.id)

    assert await reader.all(CompiledRead(admins, Typed)) == [{"id": 2, "name": "Ben"}]


async def test_a_value_with_a_default_may_be_given_or_not(users: None) -> None:
    read = CompiledRead(select(User).where(User.id == bindparam("id", 1)), Typed)

    assert (await reader.all(read))[0]["name"] == "Ann"
    assert (await reader.all(read, id=2))[0]["name"] == "Ben"
    with pytest.raises(TypeError, match="Expected"):
        await reader.all(read, id_1=2)


class WithPosts(TypedDict):
    posts: list[Any]


class Quiet(TypedDict):
    quiet: str


class Scored(TypedDict):
    score: int


@pytest.mark.parametrize(
    ("statement", "row", "message"),
    [
        (union_all(select(User.id), select(Post.id)), Closed, r"its subquery\(\)"),
        (select(text("1 AS id")), Closed, "has no name"),
        (select(literal_column("*")), Closed, "has no name"),
        (select(User.id + 1), Closed, "has no name"),
        (select(Bundle("both", User.id, User.name)), Closed, "bundles columns"),
        (select(User.name), Closed, "requires 'id'"),
        (select(Post), Typed, "requires 'name'"),
        (select(User, Post), Closed, "Two columns have the same name 'id'"),
        (USERS, int, "no named fields"),
        (USERS, list[int], "no named fields"),
        (USERS, WithPosts, r"User\.posts is not a column"),
        (USERS, Quiet, r"User\.quiet is not a column"),
        (USERS, Scored, r"User\.score is not a column"),
        (select(literal(1).label("x" * 64)), dict, "label it shorter"),
        (
            USERS.execution_options(schema_translate_map={None: "other"}),
            Closed,
            "ReadSessionDep",
        ),
        (
            USERS.where(User.id.in_(bindparam("ids", expanding=True))),
            Closed,
            "any_",
        ),
    ],
)
def test_a_select_that_cannot_be_compiled_is_refused_at_import(
    statement: Any, row: Any, message: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        CompiledRead(statement, row)


@pytest.mark.parametrize(
    ("statement", "filters", "message"),
    [
        (USERS, {"ids": User.id.in_(bindparam("ids", expanding=True))}, "any_"),
        (USERS, {"limit": User.id < bindparam("limit")}, "another"),
        (USERS, {"page": User.id < bindparam("page")}, "another"),
        (USERS, {"name": User.name == bindparam("nam")}, "exactly one"),
        (USERS, {"name": User.name == "Ann"}, "exactly one"),
        (select(User.name), {}, "requires 'id'"),
    ],
)
def test_pages_that_do_not_fit_together_are_refused_when_they_are_made(
    statement: Any, filters: Any, message: str
) -> None:
    orders = {"id": Keyset(User.id)}
    with pytest.raises(ValueError, match=message):
        CompiledPages(statement, Closed, orders=orders, filters=filters)


async def test_a_value_of_the_select_itself_goes_to_each_page(users: None) -> None:
    after = select(User).where(User.id > bindparam("first"))
    pages = CompiledPages(after, Closed, orders={"id": Keyset(User.id)}, filters={})

    page = await pages.get(reader, PageQuery(), sort="id", first=1)

    assert [row.id for row in page.items] == [2, 3]


@pytest.mark.parametrize(
    ("sql", "error"),
    [
        ("no_such_function()", ProgrammingError),
        ("1 / 0", DBAPIError),
        ("compiled_fail()", IntegrityError),
    ],
)
async def test_an_error_is_of_the_class_that_a_session_raises(
    session: AsyncSession, sql: str, error: type[DBAPIError]
) -> None:
    await session.execute(
        text(
            "CREATE FUNCTION compiled_fail() RETURNS int LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE unique_violation; END $$"
        )
    )
    statement = select(literal_column(sql, Integer).label("id"))

    with pytest.raises(error) as expected:
        async with session.begin_nested():
            await session.execute(statement)
    with pytest.raises(error) as raised:
        await reader.all(CompiledRead(statement, Closed))

    assert type(raised.value) is type(expected.value)
    assert type(raised.value.orig) is type(expected.value.orig)
    assert sqlstate(raised.value) == sqlstate(expected.value)


@pytest.mark.parametrize("name", ["do_orm_execute", "after_begin"])
async def test_a_listener_of_sessions_stops_compiled_reads_unless_it_is_marked(
    users: None, name: str
) -> None:
    read = CompiledRead(USERS, Closed)
    await reader.all(read)

    def hide(*_: object) -> None:
        """Stand for the condition of a soft delete."""

    event.listen(Session, name, hide)
    try:
        with pytest.raises(
            RuntimeError, match="hide.* may add to what a session reads"
        ):
            await reader.all(read)
        leaves_reads_alone(hide)
        assert await reader.all(read)
    finally:
        event.remove(Session, name, hide)


async def test_criteria_of_the_select_itself_are_kept(users: None) -> None:
    only = with_loader_criteria(User, User.name == "Ann")

    assert len(await reader.all(CompiledRead(USERS.options(only), Closed))) == 1


def test_an_engine_that_translates_schemas_has_no_reader() -> None:
    other = engine.execution_options(schema_translate_map={None: "other"})

    with pytest.raises(ValueError, match="schema_translate_map"):
        Reader(other, slow_statement=1)


async def test_a_number_that_changes_its_type_keeps_the_type_of_python() -> None:
    price = Column("price", Numeric(asdecimal=False))
    read = CompiledRead(
        select(price).select_from(text("compiled_price")), dict[str, Any]
    )

    for type_ in ("numeric", "float8", "int", "numeric"):
        async with engine.begin() as connection:
            await connection.execute(
                text(
                    f"CREATE TABLE compiled_price AS SELECT CAST(7 AS {type_}) AS price"
                )
            )
        (row,) = await reader.all(read)
        async with engine.begin() as connection:
            await connection.execute(text("DROP TABLE compiled_price"))
        assert (row, type(row["price"])) == ({"price": 7.0}, float)
