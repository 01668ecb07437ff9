"""Reads that are compiled once and run on the driver, for hot read paths.

A session builds, looks up and unpacks a statement for each read, which is more than half
of the CPU time of reading one row.
"""

import logging
from asyncio import CancelledError
from collections.abc import Sequence
from time import perf_counter
from types import GenericAlias
from typing import Any, Generic, TypeVar

import asyncpg
from pydantic import TypeAdapter
from sqlalchemy import ColumnElement, Select, TypeCoerce
from sqlalchemy.exc import DBAPIError, EmulatedDBAPIException
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.orm import Session
from sqlalchemy.util import greenlet_spawn

from app.core.db.dialect import DIALECT, from_driver, session_error, to_driver
from app.core.db.failures import DRIVER_ERRORS, is_outdated, unavailable, unreadable
from app.core.db.selected_columns import Columns, columns_for
from app.core.db.session_listeners import refuse_listeners
from app.core.db.slow_statements import log_slow

Row = TypeVar("Row")
logger = logging.getLogger("sqlalchemy.engine.Engine")


class CompiledRead(Generic[Row]):
    """A select and the type that Pydantic makes of its rows; made once, at import.

    It selects what the fields of the row ask for; a row that is a dict has every column.
    A value that differs from call to call is a `bindparam("name")`. Columns `beside` the
    row are not shown to it: `values_beside` returns them.

    Raises ValueError or TypeError for what only a session has, and for a select whose SQL
    depends on values: `in_(bindparam(…))` does, `== any_(bindparam(…))` does not.
    """

    def __init__(
        self,
        select: Select[*tuple[Any, ...]],
        row: type[Row],
        *,
        beside: Sequence[ColumnElement[Any]] = (),
    ) -> None:
        columns, hidden = columns_for(select, row)
        self._names = list(columns)
        self._beside = [_name_of(column, columns, hidden) for column in beside]
        self._hidden = hidden
        if "schema_translate_map" in select.get_execution_options():
            raise ValueError(
                "Only a session translates schemas: read with ReadSessionDep."
            )
        labels = (column.label(name) for name, column in columns.items())
        compiled = select.with_only_columns(
            *labels, maintain_column_froms=True
        ).compile(dialect=DIALECT)
        if any(bind.callable for bind in compiled.binds.values()):
            raise ValueError(f"A value depends on the execution: {compiled}")
        late = compiled.post_compile_params | compiled.literal_execute_params
        if names := [bind.key for bind in late if bind.required]:
            raise ValueError(
                f"The SQL depends on the values of {names}: compare with "
                "any_(bindparam(…, type_=ARRAY(…))) instead of in_, or read with "
                f"ReadSessionDep. {compiled}"
            )
        self._parameters = {
            bind.key for bind in compiled.binds.values() if bind.required
        }
        # A constant list becomes as many values as it has.
        statement = compiled.construct_expanded_state(dict.fromkeys(self._parameters))
        self._sql = statement.statement
        self._constants = {
            name: value
            for name, value in statement.parameters.items()
            if name not in self._parameters
        }
        binds = {name: compiled.binds.get(name) for name in statement.positiontup or ()}
        self._optional = {
            name for name, bind in binds.items() if bind is not None and not bind.unique
        }
        self._to_driver = [
            (
                name,
                statement.processors.get(name)
                if bind is None
                else to_driver(bind.type),
            )
            for name, bind in binds.items()
        ]
        self._from_driver = [
            (name, convert)
            for name, column in columns.items()
            if name not in hidden and (convert := from_driver(column.type))
        ]
        rows: Any = GenericAlias(list, row)
        self._rows = TypeAdapter(rows)

    def arguments(self, values: dict[str, Any]) -> list[Any]:
        """Return the values as the driver expects them, in the order of the SQL."""
        given = values.keys()
        if given != self._parameters and given - self._optional != self._parameters:
            raise TypeError(
                f"Expected {sorted(self._parameters)}, got {sorted(values)}."
            )
        values = self._constants | values
        return [
            values[name] if convert is None else convert(values[name])
            for name, convert in self._to_driver
        ]

    async def fetch(
        self, driver: Any, arguments: list[Any], *, slow_statement: float
    ) -> list[Any]:
        """Return the records that asyncpg gives; raise what a session would."""
        logger.info(self._sql)
        start = perf_counter()
        try:
            return await self._fetch(driver, arguments)
        except DRIVER_ERRORS as error:
            lost = driver.is_closed() or is_outdated(error)
            raise session_error(self._sql, arguments, error, is_lost=lost) from error
        except (ValueError, OverflowError) as error:
            raise unreadable(error, self._names) from error
        finally:
            if (elapsed := perf_counter() - start) >= slow_statement:
                log_slow(self._sql, elapsed)

    async def _fetch(self, driver: Any, arguments: list[Any]) -> list[Any]:
        try:
            return await driver.fetch(self._sql, *arguments)
        except asyncpg.InternalServerError:
            if driver.is_in_transaction():
                raise
            # A type that was dropped and made again: the prepared statement would ask for
            # the old one for as long as the connection lives.
            await driver.reload_schema_state()
            return await driver.fetch(self._sql, *arguments)

    def rows(self, records: list[Any]) -> list[Row]:
        """Return the records as rows."""
        rows = [dict(record.items()) for record in records]
        for name in self._hidden:
            for row in rows:
                del row[name]
        for name, convert in self._from_driver:
            for row in rows:
                row[name] = convert(row[name])
        return self._rows.validate_python(rows)

    def values_beside(self, record: Any) -> list[Any]:
        """Return the values of the columns beside the row, as asyncpg gives them."""
        return [record[name] for name in self._beside]


def _name_of(column: ColumnElement[Any], columns: Columns, hidden: set[str]) -> str:
    """Return the name of a column in the records; select it if nothing else does."""
    bare = column.clause if isinstance(column, TypeCoerce) else column
    for name, selected in columns.items():
        if selected.expression.compare(bare):
            return name
    name = f"beside_{len(hidden)}"
    columns[name] = column
    hidden.add(name)
    return name


class Reader:
    """Runs compiled reads, each by itself: without a session, outside of a transaction.

    A statement that takes longer than `slow_statement` seconds is logged.
    """

    def __init__(
        self,
        bind: AsyncEngine | AsyncConnection,
        *,
        slow_statement: float,
        session_class: type[Session] = Session,
    ) -> None:
        if "schema_translate_map" in bind.sync_engine.get_execution_options():
            raise ValueError("Compiled reads have no schema_translate_map.")
        # A connection in tests, where each test is one transaction.
        self.bind = bind
        self._slow_statement = slow_statement
        self._session_events: Any = session_class().dispatch
        self._harmless: list[Any] = []

    async def first(self, read: CompiledRead[Row], /, **values: Any) -> Row | None:
        """Return the first row, or None where there is none."""
        rows = await self.all(read, **values)
        return rows[0] if rows else None

    async def all(self, read: CompiledRead[Row], /, **values: Any) -> list[Row]:
        """Return all rows; raise what a session does when the database fails."""
        return read.rows(await self.records(read, values))

    async def records(
        self, read: CompiledRead[Any], values: dict[str, Any]
    ) -> list[Any]:
        """Return what `CompiledRead.rows` makes rows of."""
        events = self._session_events
        if (added := [*events.do_orm_execute, *events.after_begin]) != self._harmless:
            refuse_listeners(added)
            self._harmless = added
        arguments = read.arguments(values)
        if isinstance(self.bind, AsyncConnection):
            async with self.bind.begin_nested():
                connection = await self.bind.get_raw_connection()
                return await read.fetch(
                    connection.driver_connection,
                    arguments,
                    slow_statement=self._slow_statement,
                )
        # As SQLAlchemy itself does: the pool is written in synchronous code, whose
        # waiting for asyncpg becomes an await of this task.
        return await greenlet_spawn(self._fetch, self.bind, read, arguments)

    def _fetch(
        self, engine: AsyncEngine, read: CompiledRead[Any], arguments: list[Any]
    ) -> list[Any]:
        try:
            pooled: Any = engine.sync_engine.raw_connection()
        except EmulatedDBAPIException as error:
            raise DBAPIError(None, None, error) from error
        limit = self._slow_statement
        try:
            return pooled.run_async(
                lambda driver: read.fetch(driver, arguments, slow_statement=limit)
            )
        except DBAPIError as error:
            if error.connection_invalidated:
                # As a session does: those cut off with it may not have noticed yet.
                engine.sync_engine.pool._invalidate(pooled, error)
            raise
        except (OSError, CancelledError) as error:
            # A reply to the statement may still arrive on this connection.
            pooled.driver_connection.terminate()
            pooled.invalidate(error)
            if isinstance(error, OSError):
                raise unavailable(error) from error
            raise
        finally:
            pooled.close()
