"""Pages by random columns over random rows; copied into a service's tests to run there."""

from datetime import UTC
from typing import Any

from app.core.db.pagination import Keyset
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Integer, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import DeclarativeBase, mapped_column
from tests.core.test_keysets import KINDS, assert_pages_hold_every_row

WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)
ENDS = st.sampled_from(["infinity", "-infinity"])
NOT_NUMBERS = st.sampled_from(["NaN", "Infinity", "-Infinity"])
DATETIMES = st.datetimes().map(str)
# Of each kind, values as PostgreSQL reads them, besides those of the service's own tests.
RANDOM: dict[str, st.SearchStrategy[str]] = {
    "smallint": st.integers(-(2**15), 2**15 - 1).map(str),
    "integer": st.integers(-(2**31), 2**31 - 1).map(str),
    "bigint": st.integers(-(2**63), 2**63 - 1).map(str),
    "boolean": st.booleans().map(str),
    "numeric": st.decimals(allow_nan=False, allow_infinity=False).map(str)
    | NOT_NUMBERS,
    "real": st.floats(width=32, allow_nan=False, allow_infinity=False).map(repr)
    | NOT_NUMBERS,
    "double": st.floats(allow_nan=False, allow_infinity=False).map(repr) | NOT_NUMBERS,
    "text": WORDS,
    "text of a collation": WORDS,
    "citext": WORDS,
    "uuid": st.uuids().map(str),
    "date": st.dates().map(str) | ENDS,
    "timestamp": DATETIMES | ENDS,
    "timestamptz": st.datetimes(timezones=st.just(UTC)).map(str) | ENDS,
    "time": st.times().map(str),
    "interval": st.builds(
        "{} mon {} days {} us".format,
        st.integers(-1000, 1000),
        st.integers(-10000, 10000),
        st.integers(-(10**12), 10**12),
    ),
}
COLUMN = st.tuples(st.sampled_from(sorted(RANDOM)), st.booleans())


@st.composite
def lists(draw: st.DrawFn) -> tuple[list[tuple[str, bool]], list[list[str | None]]]:
    """Return columns, as kinds and whether they may be null, and rows, some of them equal."""
    columns = draw(st.lists(COLUMN, min_size=1, max_size=3))
    values = [
        st.sampled_from(KINDS[kind][1])
        | RANDOM[kind]
        | (st.none() if nullable else st.nothing())
        for kind, nullable in columns
    ]
    rows = draw(st.lists(st.tuples(*values), max_size=7))
    return columns, [list(row) for row in rows for _ in range(draw(st.integers(1, 3)))]


def model_of(columns: list[tuple[str, bool]]) -> type[Any]:
    """Return a model of a table of its own, in a registry of its own."""
    base = type("Base", (DeclarativeBase,), {})
    fields = {
        f"value_{i}": mapped_column(KINDS[kind][0], nullable=nullable)
        for i, (kind, nullable) in enumerate(columns)
    }
    key = {"id": mapped_column(Integer, primary_key=True)}
    return type("Model", (base,), {"__tablename__": "random_rows", **key, **fields})


@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(of=lists(), descending=st.booleans())
async def test_every_row_is_in_exactly_one_page_of_any_order(
    connection: AsyncConnection,
    session: AsyncSession,
    of: tuple[list[tuple[str, bool]], list[list[str | None]]],
    descending: bool,
) -> None:
    columns, rows = of
    model = model_of(columns)
    await connection.execute(text("CREATE EXTENSION IF NOT EXISTS citext"))
    await connection.execute(text("DROP TABLE IF EXISTS random_rows"))
    await connection.run_sync(model.metadata.create_all)
    types = [
        str(model.__table__.c[f"value_{i}"].type.compile(connection.dialect))
        for i in range(len(columns))
    ]
    casts = ", ".join(f"CAST(:v{i} AS text)::{type_}" for i, type_ in enumerate(types))
    for number, row in enumerate(rows):
        parameters = {f"v{i}": value for i, value in enumerate(row)}
        insert = text(f"INSERT INTO random_rows VALUES ({number}, {casts})")
        await connection.execute(insert, parameters)

    keys = [getattr(model, f"value_{i}") for i in range(len(columns))]
    keyset = Keyset(*keys, model.id, descending=descending)
    await assert_pages_hold_every_row(session, select(model), keyset)
