"""Reads that are compiled once and run on the driver: for the routes that are asked most.

A session builds, looks up and unpacks each statement anew, which is more than half of the
CPU time of a read. Here that is done once, on the same pool, with the same SQL and types.
"""

from asyncio import CancelledError
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Depends
from pydantic import TypeAdapter
from sqlalchemy import Select
from sqlalchemy.exc import DBAPIError, EmulatedDBAPIException
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.util import greenlet_spawn

from app.core.database import engine
from app.core.database_errors import DRIVER
from app.core.slow_statements import log_if_slow

Row = TypeVar("Row")


class CompiledRead(Generic[Row]):
    """A select and the model that its rows become: made once, when a module is loaded.

    What differs from call to call is a `bindparam("name")` in it. Raises ValueError for
    a select whose SQL depends on values: `in_` does, `== any_(bindparam(…))` does not.
    """

    def __init__(self, select: Select[Any], model: type[Row]) -> None:
        dialect = engine.dialect
        # All columns by their names, also the deferred: a row has no session to ask.
        self._columns = select.selected_columns
        self._keys = self._columns.keys()
        compiled = select.with_only_columns(
            *self._columns, maintain_column_froms=True
        ).compile(dialect=dialect)
        if compiled.post_compile_params or compiled.literal_execute_params:
            raise ValueError(f"The SQL depends on the values: {compiled}")
        self._sql = compiled.string
        binds = [compiled.binds[name] for name in compiled.positiontup or ()]
        self._names = {bind.key for bind in binds if bind.required}
        self._constants = {bind.key: bind.value for bind in binds if not bind.required}
        self._to_driver = [
            (bind.key, bind.type.dialect_impl(dialect).bind_processor(dialect))
            for bind in binds
        ]
        self._from_driver: list[tuple[str, Any]] | None = None
        self._model = TypeAdapter(model)

    def arguments(self, values: dict[str, Any]) -> list[Any]:
        """Return the values as the driver takes them, in the order of the SQL."""
        if values.keys() != self._names:
            raise TypeError(f"It takes {sorted(self._names)}, not {sorted(values)}.")
        values |= self._constants
        return [
            values[key] if convert is None else convert(values[key])
            for key, convert in self._to_driver
        ]

    async def fetch(self, driver: Any, arguments: list[Any]) -> list[Any]:
        """Run it on a connection of asyncpg, and return what that returns."""
        try:
            if self._from_driver is None:
                await self._learn_types(driver)
            start = perf_counter()
            records = await driver.fetch(self._sql, *arguments)
            log_if_slow(self._sql, perf_counter() - start)
        except DRIVER as error:
            lost = driver.is_closed()
            raise DBAPIError(self._sql, None, error, True, lost) from error
        return records

    def rows(self, records: list[Any]) -> list[Row]:
        """Return the model of each record."""
        validate = self._model.validate_python
        rows = [dict(zip(self._keys, record, strict=True)) for record in records]
        for key, convert in self._from_driver or ():
            for row in rows:
                row[key] = convert(row[key])
        return [validate(row) for row in rows]

    async def _learn_types(self, driver: Any) -> None:
        """Find what SQLAlchemy converts, which depends on PostgreSQL's own types."""
        dialect = engine.dialect
        attributes = (await driver.prepare(self._sql)).get_attributes()
        converters = [
            column.type.dialect_impl(dialect).result_processor(
                dialect, attribute.type.oid
            )
            for column, attribute in zip(self._columns, attributes, strict=True)
        ]
        self._from_driver = [
            (key, convert)
            for key, convert in zip(self._keys, converters, strict=True)
            if convert is not None
        ]


class Reader:
    """Runs compiled reads, each by itself: without a session, outside of a transaction."""

    def __init__(self, bind: AsyncEngine | AsyncConnection) -> None:
        # A connection in tests, where all that one of them does is one transaction.
        self.bind = bind

    async def first(self, read: CompiledRead[Row], /, **values: Any) -> Row | None:
        """Return the first row, or None where there is none."""
        rows = await self.all(read, **values)
        return rows[0] if rows else None

    async def all(self, read: CompiledRead[Row], /, **values: Any) -> list[Row]:
        """Return all rows; raise what a session does when the database is in trouble."""
        arguments = read.arguments(values)
        async with self._driver() as driver:
            records = await read.fetch(driver, arguments)
        return read.rows(records)

    @asynccontextmanager
    async def _driver(self) -> AsyncGenerator[Any]:
        if isinstance(self.bind, AsyncConnection):
            async with self.bind.begin_nested():
                yield (await self.bind.get_raw_connection()).driver_connection
            return
        try:
            # Past Engine.connect, which takes 40 µs.
            pooled = await self.bind.raw_connection()
        except EmulatedDBAPIException as error:
            raise DBAPIError(None, None, error) from error
        driver: Any = pooled.driver_connection
        try:
            yield driver
        except (TimeoutError, CancelledError):
            driver.terminate()  # What was asked may still be answered.
            raise
        finally:
            await greenlet_spawn(pooled.close)


reader = Reader(engine)


async def get_reader() -> Reader:
    """Return what runs compiled reads; depend on it through `ReaderDep`."""
    return reader


ReaderDep = Annotated[Reader, Depends(get_reader)]
