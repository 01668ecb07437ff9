"""Reads that are compiled once and run on the driver, for hot read paths.

A session builds, looks up and unpacks a statement for each read, which is more than half
of the CPU time of reading one row.
"""

import logging
from asyncio import CancelledError
from collections.abc import Iterator
from time import perf_counter
from types import GenericAlias
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter
from sqlalchemy import Select, inspect
from sqlalchemy.dialects.postgresql.asyncpg import dialect
from sqlalchemy.exc import DBAPIError, EmulatedDBAPIException
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.util import greenlet_spawn

from app.core.db.failures import DRIVER_ERRORS, is_outdated, unavailable
from app.core.db.slow_statements import log_if_slow

Row = TypeVar("Row")
DIALECT = dialect(dbapi=dialect.import_dbapi())
logger = logging.getLogger("sqlalchemy.engine.Engine")


class CompiledRead(Generic[Row]):
    """A select and the type that Pydantic makes of its rows; made once, at import.

    A value that differs from call to call is a `bindparam("name")`. Raises ValueError for
    a select whose SQL depends on values: `in_` does, `== any_(bindparam(…))` does not.
    """

    def __init__(self, select: Select[*tuple[Any, ...]], row: type[Row]) -> None:
        names, columns = zip(*_columns(select), strict=True)
        if len(set(names)) < len(names):
            raise ValueError(f"Two columns have the same name, label one: {names}")
        labels = (c.label(name) for name, c in zip(names, columns, strict=True))
        select = select.with_only_columns(*labels, maintain_column_froms=True)
        compiled = select.compile(dialect=DIALECT)
        if compiled.post_compile_params or compiled.literal_execute_params:
            raise ValueError(f"The SQL depends on the values: {compiled}")
        binds = [compiled.binds[name] for name in compiled.positiontup or ()]
        if any(bind.callable for bind in binds):
            raise ValueError(f"A value depends on the execution: {compiled}")
        self._sql, self._names, self._columns = compiled.string, names, columns
        self._parameters = {bind.key for bind in binds if bind.required}
        self._constants = {bind.key: bind.value for bind in binds if not bind.required}
        self._to_driver = [
            (bind.key, _type(bind).bind_processor(DIALECT)) for bind in binds
        ]
        self._from_driver: list[tuple[str, Any]] | None = None
        rows: Any = GenericAlias(list, row)
        self._rows = TypeAdapter(rows)

    def arguments(self, values: dict[str, Any]) -> list[Any]:
        """Return the values as the driver expects them, in the order of the SQL."""
        if values.keys() != self._parameters:
            raise TypeError(
                f"Expected {sorted(self._parameters)}, got {sorted(values)}."
            )
        values |= self._constants
        return [
            values[name] if convert is None else convert(values[name])
            for name, convert in self._to_driver
        ]

    async def fetch(
        self, driver: Any, arguments: list[Any], *, slow_statement: float
    ) -> list[Any]:
        """Return the records that asyncpg gives; raise what a session would."""
        try:
            if self._from_driver is None:
                self._from_driver = await self._conversions(driver)
            logger.info(self._sql)
            start = perf_counter()
            try:
                return await driver.fetch(self._sql, *arguments)
            finally:
                elapsed = perf_counter() - start
                log_if_slow(self._sql, elapsed, limit=slow_statement)
        except DRIVER_ERRORS as error:
            lost = driver.is_closed() or is_outdated(error)
            raise DBAPIError(self._sql, arguments, error, True, lost) from error

    async def _conversions(self, driver: Any) -> list[tuple[str, Any]]:
        """Return the conversions of SQLAlchemy, which depend on PostgreSQL's own types."""
        attributes = (await driver.prepare(self._sql)).get_attributes()
        processors = [
            _type(column).result_processor(DIALECT, attribute.type.oid)
            for column, attribute in zip(self._columns, attributes, strict=True)
        ]
        return [pair for pair in zip(self._names, processors, strict=True) if pair[1]]

    def rows(self, records: list[Any]) -> list[Row]:
        """Return the records as rows."""
        rows = [dict(record.items()) for record in records]
        for name, convert in self._from_driver or ():
            for row in rows:
                row[name] = convert(row[name])
        return self._rows.validate_python(rows)


def _columns(select: Select[*tuple[Any, ...]]) -> Iterator[tuple[str, Any]]:
    """Yield names and columns: all of a table, because nothing is loaded later."""
    for selected in select.column_descriptions:
        if selected["expr"] is selected.get("entity"):
            for attribute in inspect(selected["expr"]).mapper.column_attrs:
                yield attribute.key, getattr(selected["expr"], attribute.key)
        else:
            yield selected["name"], selected["expr"]


def _type(expression: Any) -> Any:
    return expression.type.dialect_impl(DIALECT)


class Reader:
    """Runs compiled reads, each by itself: without a session, outside of a transaction.

    A statement that takes longer than `slow_statement` seconds is logged.
    """

    def __init__(
        self, bind: AsyncEngine | AsyncConnection, *, slow_statement: float
    ) -> None:
        # A connection in tests, where each test is one transaction.
        self.bind = bind
        self._slow_statement = slow_statement

    async def first(self, read: CompiledRead[Row], /, **values: Any) -> Row | None:
        """Return the first row, or None where there is none."""
        rows = await self.all(read, **values)
        return rows[0] if rows else None

    async def all(self, read: CompiledRead[Row], /, **values: Any) -> list[Row]:
        """Return all rows; raise what a session does when the database fails."""
        arguments = read.arguments(values)
        if isinstance(self.bind, AsyncConnection):
            async with self.bind.begin_nested():
                connection = await self.bind.get_raw_connection()
                records = await read.fetch(
                    connection.driver_connection,
                    arguments,
                    slow_statement=self._slow_statement,
                )
        else:
            # As SQLAlchemy itself does: the pool is written in synchronous code, whose
            # waiting for asyncpg becomes an await of this task.
            records = await greenlet_spawn(self._fetch, self.bind, read, arguments)
        return read.rows(records)

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
