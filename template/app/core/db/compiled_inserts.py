"""Rows that are inserted by statements that are compiled once, for hot write paths."""

from collections.abc import Callable, Iterator
from dataclasses import is_dataclass
from functools import lru_cache, partial
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from sqlalchemy import ClauseElement, Column, Select, Table, insert, inspect, select
from sqlalchemy.exc import NoInspectionAvailable
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapper
from sqlalchemy.sql import schema
from sqlalchemy.sql.visitors import iterate

from app.core.db.dialect import DIALECT
from app.core.db.driver_statements import Driver, DriverStatement, Row, Rows
from app.core.db.selected_columns import columns_for
from app.core.db.session_listeners import refuse_write_listeners

Model = TypeVar("Model", bound=object)

INSTEAD = "Write with SessionDep."


class Value(NamedTuple):
    """Where the value of a column comes from."""

    attribute: str
    column: str
    # Called where an instance has no value. Without it, PostgreSQL fills the column.
    default: Callable[[], Any] | None
    is_version: bool
    keeps_none: bool


class CompiledInsert(Generic[Model, Row]):
    """An INSERT of a model, and the type of the row that it returns; made once, at import.

    A session's constructor, validators, defaults, types and version apply. Raises
    ValueError or TypeError for a model with more than that: a listener to its inserts, an
    inherited table, a default that reads the statement.
    """

    def __init__(self, model: type[Model], row: type[Row]) -> None:
        self._mapper = mapper = _mapper_of(model)
        self._events: Any = mapper.dispatch
        self._instance_events: Any = mapper.class_manager.dispatch
        self._refuse_events()
        table: Any = mapper.local_table
        self._table = table
        self._values = [*_values_of(mapper, table)]
        self._relationships = {
            name: related.uselist for name, related in mapper.relationships.items()
        }
        columns, hidden = columns_for(select(model), row)
        for name, column in columns.items():
            if any(isinstance(part, Select) for part in iterate(column)):
                raise ValueError(f"{name!r} is a query of its own. {INSTEAD}")
        self._columns = columns
        self._rows = Rows(columns, hidden, row)
        shown = [columns[name].label(name) for name in columns if name not in hidden]
        self._select = select(*shown).select_from(table)
        # SQL that cannot be compiled fails here instead of in a request.
        self._compile(tuple(value.column for value in self._values))
        # By the columns that have a value; PostgreSQL fills the others.
        self._statement = lru_cache(maxsize=256)(self._compile)

    def prepare(self, instance: Model) -> tuple[DriverStatement, list[Any]]:
        """Return the statement for an instance and the values that the driver expects."""
        self._refuse_events()
        given = self._given(instance)
        values = {}
        for attribute, column, default, is_version, keeps_none in self._values:
            value = None if is_version else given.get(attribute)
            if value is None and not (keeps_none and attribute in given):
                if default is None:
                    continue
                value = default()
            elif _is_sql(value):
                raise TypeError(f"{attribute} is an SQL expression. {INSTEAD}")
            values[column] = value
        statement = self._statement(tuple(values))
        return statement, statement.arguments(values)

    def row(self, records: list[Any]) -> Row:
        """Return the row that was inserted."""
        return self._rows.of(records)[0]

    async def row_of(self, instance: Model, session: AsyncSession) -> Row:
        """Return the same of an instance that a session has inserted."""
        columns = self._mapper.primary_key
        key = self._mapper.primary_key_from_instance(instance)
        is_its_row = [
            column == value for column, value in zip(columns, key, strict=True)
        ]
        # Without the listeners of the session, which may hide some rows.
        connection = await session.connection()
        found = await connection.execute(self._select.where(*is_its_row))
        return self._rows.one(dict(found.mappings().one()))

    def _given(self, instance: Model) -> dict[str, Any]:
        state = inspect(instance)
        if state.mapper is not self._mapper or not state.transient:
            raise TypeError(
                f"Expected a new {self._mapper.class_.__name__}, which is in no session, "
                f"not {instance!r}."
            )
        given: dict[str, Any] = state.dict
        for name, is_collection in self._relationships.items():
            related = given.get(name)
            # A single instance may be false, such as one with a length.
            if bool(related) if is_collection else related is not None:
                raise TypeError(f"{name} would have to be saved too. {INSTEAD}")
        return given

    def _compile(self, columns: tuple[str, ...]) -> DriverStatement:
        labels = (column.label(name) for name, column in self._columns.items())
        statement = insert(self._table).returning(*labels)
        compiled = statement.compile(dialect=DIALECT, column_keys=columns)
        return DriverStatement(compiled, self._columns)

    def _refuse_events(self) -> None:
        """Raise ValueError for a listener, which may be added at any time."""
        events = self._events
        if (
            events.before_insert
            or events.after_insert
            or self._instance_events.refresh_flush
        ):
            raise ValueError(
                f"{self._mapper.class_.__name__} has a listener to before_insert, "
                f"after_insert or refresh_flush, which would not run. {INSTEAD}"
            )


def _is_sql(value: object) -> bool:
    return isinstance(value, ClauseElement) or hasattr(value, "__clause_element__")


def _mapper_of(model: Any) -> Mapper[Any]:
    """Return the mapper of a model whose rows are in one table, and nothing but that."""
    try:
        mapper = inspect(model)
    except NoInspectionAvailable:
        mapper = None
    if not isinstance(mapper, Mapper):
        raise TypeError(f"{model!r} is not a model.")
    if mapper.inherits or mapper.polymorphic_on is not None:
        raise ValueError(f"{model.__name__} shares its table by inheritance. {INSTEAD}")
    if not isinstance(mapper.local_table, Table):
        raise TypeError(f"{model.__name__} is not mapped to a table. {INSTEAD}")
    if is_dataclass(model):
        raise ValueError(
            f"{model.__name__} is a dataclass, whose defaults only a session knows. "
            f"{INSTEAD}"
        )
    return mapper


def _values_of(mapper: Mapper[Any], table: Table) -> Iterator[Value]:
    for column in table.columns:
        if mapper.columns.contains_column(column):
            yield _value_of(mapper, column)
        elif column.default is not None:
            raise ValueError(f"{column} has a default and no attribute. {INSTEAD}")


def _value_of(mapper: Mapper[Any], column: Column[Any]) -> Value:
    attribute = mapper.get_property_by_column(column).key
    is_version = column is mapper.version_id_col and mapper.version_id_generator
    default = _default_of(column)
    if is_version:
        default = partial(mapper.version_id_generator, None)
    keeps_none = column.type.should_evaluate_none
    return Value(attribute, column.key, default, bool(is_version), keeps_none)


def _default_of(column: Column[Any]) -> Callable[[], Any] | None:
    default: Any = column.default
    if default is None:
        is_filled = column.server_default is not None or column.primary_key
        # A given None is the null of JSON there, and a missing value is the one of SQL.
        if is_filled or column.type.should_evaluate_none:
            return None
        return lambda: None
    if default.is_callable:
        # SQLAlchemy wraps a function without a parameter, and passes a context to others.
        if getattr(default.arg, "__globals__", None) is not vars(schema):
            raise ValueError(
                f"The default of {column} has a parameter: it may depend on the statement. "
                f"{INSTEAD}"
            )
        return partial(default.arg, None)
    return (lambda: default.arg) if default.is_scalar else None


class Writer(Protocol):
    """Adds rows."""

    async def add(self, insert: CompiledInsert[Model, Row], instance: Model) -> Row:
        """Insert a new instance, and return its row; raise what a session would."""
        ...


class AutocommitWriter(Driver):
    """Commits each row at once, before it is returned: in one round trip.

    A row stays stored even if the type of the insert refuses its values, which PostgreSQL
    may have made, or if a later statement of the request fails. It may also be stored after
    a cancellation, as by a timeout: PostgreSQL completes a statement that it has received.

    A statement that takes longer than `slow_statement` seconds is logged.
    """

    async def add(self, insert: CompiledInsert[Model, Row], instance: Model) -> Row:
        """Insert a new instance, and return its row; raise what a session would."""
        refuse_write_listeners(self._session_events)
        return insert.row(await self.run(*insert.prepare(instance)))


class SessionWriter:
    """Adds rows in the transaction of a session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, insert: CompiledInsert[Model, Row], instance: Model) -> Row:
        """Insert a new instance, and return its row."""
        self._session.add(instance)
        await self._session.flush()
        # What PostgreSQL has made of the values, such as a number that it rounded.
        return await insert.row_of(instance, self._session)
