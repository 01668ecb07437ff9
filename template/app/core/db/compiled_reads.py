"""Reads that are compiled once and run on the driver, for hot read paths.

A session builds, looks up and unpacks a statement for each read, which is more than half
of the CPU time of reading one row.
"""

from collections.abc import Sequence
from typing import Any, Generic

from sqlalchemy import ColumnElement, Select, TypeCoerce

from app.core.db.dialect import DIALECT
from app.core.db.driver_statements import Driver, DriverStatement, Row, Rows
from app.core.db.selected_columns import Columns, columns_for
from app.core.db.session_listeners import refuse_listeners


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
        self._beside = [_name_of(column, columns, hidden) for column in beside]
        if "schema_translate_map" in select.get_execution_options():
            raise ValueError(
                "Only a session translates schemas: read with ReadSessionDep."
            )
        labels = (column.label(name) for name, column in columns.items())
        compiled = select.with_only_columns(
            *labels, maintain_column_froms=True
        ).compile(dialect=DIALECT)
        late = compiled.post_compile_params | compiled.literal_execute_params
        if names := [bind.key for bind in late if bind.required]:
            raise ValueError(
                f"The SQL depends on the values of {names}: compare with "
                "any_(bindparam(…, type_=ARRAY(…))) instead of in_, or read with "
                f"ReadSessionDep. {compiled}"
            )
        self.statement = DriverStatement(compiled, columns)
        self._rows = Rows(columns, hidden, row)

    def arguments(self, values: dict[str, Any]) -> list[Any]:
        """Return the values as the driver expects them, in the order of the SQL."""
        given, statement = values.keys(), self.statement
        expected = statement.parameters
        if given != expected and given - statement.optional != expected:
            raise TypeError(f"Expected {sorted(expected)}, got {sorted(values)}.")
        return statement.arguments(values)

    def rows(self, records: list[Any]) -> list[Row]:
        """Return the records as rows."""
        return self._rows.of(records)

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


class Reader(Driver):
    """Runs compiled reads, each by itself: without a session, outside of a transaction.

    A statement that takes longer than `slow_statement` seconds is logged.
    """

    # The listeners that were found to leave reads alone.
    _harmless: Sequence[Any] = ()

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
        if (added := (*events.do_orm_execute, *events.after_begin)) != self._harmless:
            refuse_listeners(added)
            self._harmless = added
        return await self.run(read.statement, read.arguments(values))
