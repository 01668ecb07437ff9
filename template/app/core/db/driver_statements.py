"""Statements that run on the driver: without a session, each a transaction of its own."""

import logging
from asyncio import CancelledError
from collections.abc import Iterable
from time import perf_counter
from types import GenericAlias
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter
from sqlalchemy.exc import DBAPIError, EmulatedDBAPIException
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.orm import Session
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.util import greenlet_spawn

from app.core.db.dialect import from_driver, refused_value, session_error, to_driver
from app.core.db.failures import DRIVER_ERRORS, is_outdated, unavailable, unreadable
from app.core.db.selected_columns import Columns
from app.core.db.slow_statements import log_slow

Row = TypeVar("Row")
logger = logging.getLogger("sqlalchemy.engine.Engine")


class DriverStatement:
    """The SQL of a compiled statement, and what its values become in the driver.

    It returns the `columns`. Raises ValueError for a value that each execution would make.
    """

    def __init__(self, compiled: SQLCompiler, columns: Iterable[str]) -> None:
        if any(bind.callable for bind in compiled.binds.values()):
            raise ValueError(f"A value depends on the execution: {compiled}")
        self._names = list(columns)
        self.parameters = {
            bind.key for bind in compiled.binds.values() if bind.required
        }
        # A constant list becomes as many values as it has.
        statement = compiled.construct_expanded_state(dict.fromkeys(self.parameters))
        self._sql = statement.statement
        self._constants = {
            name: value
            for name, value in statement.parameters.items()
            if name not in self.parameters
        }
        binds = {name: compiled.binds.get(name) for name in statement.positiontup or ()}
        # Parameters that have a value already.
        self.optional = {
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

    def arguments(self, values: dict[str, Any]) -> list[Any]:
        """Return the values as the driver expects them, in the order of the SQL.

        Raises StatementError, as a session does, for one that its type refuses.
        """
        values = self._constants | values
        try:
            return [
                values[name] if convert is None else convert(values[name])
                for name, convert in self._to_driver
            ]
        except Exception as error:
            raise refused_value(self._sql, error) from error

    async def fetch(
        self, driver: Any, arguments: list[Any], *, slow_statement: float
    ) -> list[Any]:
        """Return the records that asyncpg gives; raise what a session would."""
        logger.info(self._sql)
        start = perf_counter()
        try:
            return await driver.fetch(self._sql, *arguments)
        except DRIVER_ERRORS as error:
            lost = driver.is_closed() or is_outdated(error)
            raise session_error(self._sql, arguments, error, is_lost=lost) from error
        except (ValueError, OverflowError) as error:
            raise unreadable(error, self._names) from error
        finally:
            if (elapsed := perf_counter() - start) >= slow_statement:
                log_slow(self._sql, elapsed)


class Rows(Generic[Row]):
    """Makes rows of the driver's records, without the columns that are hidden from them."""

    def __init__(self, columns: Columns, hidden: set[str], row: type[Row]) -> None:
        self._hidden = hidden
        self._from_driver = [
            (name, convert)
            for name, column in columns.items()
            if name not in hidden and (convert := from_driver(column.type))
        ]
        rows: Any = GenericAlias(list, row)
        self._rows = TypeAdapter(rows)

    def of(self, records: list[Any]) -> list[Row]:
        """Return a row for each record."""
        rows = [dict(record.items()) for record in records]
        for name in self._hidden:
            for row in rows:
                del row[name]
        for name, convert in self._from_driver:
            for row in rows:
                row[name] = convert(row[name])
        return self._rows.validate_python(rows)

    def one(self, values: dict[str, Any]) -> Row:
        """Return a row of values of Python."""
        return self._rows.validate_python([values])[0]


class Driver:
    """Runs statements on connections of an engine, without its transactions.

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
            raise ValueError("Compiled statements have no schema_translate_map.")
        # A connection in tests, where each test is one transaction.
        self.bind = bind
        self._slow_statement = slow_statement
        # The listeners that a session would run.
        self._session_events: Any = session_class().dispatch

    async def run(self, statement: DriverStatement, arguments: list[Any]) -> list[Any]:
        """Return the records of a statement; raise what a session would."""
        if isinstance(self.bind, AsyncConnection):
            async with self.bind.begin_nested():
                connection = await self.bind.get_raw_connection()
                return await statement.fetch(
                    connection.driver_connection,
                    arguments,
                    slow_statement=self._slow_statement,
                )
        # As SQLAlchemy itself does: the pool is written in synchronous code, whose
        # waiting for asyncpg becomes an await of this task.
        return await greenlet_spawn(self._run, self.bind, statement, arguments)

    def _run(
        self, engine: AsyncEngine, statement: DriverStatement, arguments: list[Any]
    ) -> list[Any]:
        try:
            pooled: Any = engine.sync_engine.raw_connection()
        except EmulatedDBAPIException as error:
            raise DBAPIError(None, None, error) from error
        limit = self._slow_statement
        try:
            return pooled.run_async(
                lambda driver: statement.fetch(driver, arguments, slow_statement=limit)
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
