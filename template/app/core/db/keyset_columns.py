"""The columns of a keyset, and what tells whether they can page."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import (
    BindParameter,
    Cast,
    Column,
    ColumnElement,
    FromClause,
    Label,
    Table,
    UniqueConstraint,
    false,
    or_,
    type_coerce,
)
from sqlalchemy.sql.functions import FunctionElement, coalesce
from sqlalchemy.sql.operators import collate
from sqlalchemy.sql.visitors import iterate
from sqlalchemy.types import NullType

from app.core.db.cursor_forms import cursor_form
from app.core.db.dialect import driver_type


class KeysetColumn:
    """A column, or another expression, that a list is sorted by."""

    def __init__(self, column: Any, parameter: str) -> None:
        self.expression: ColumnElement[Any] = getattr(column, "expression", column)
        type_ = driver_type(self.expression.type)
        if isinstance(type_, NullType):
            raise TypeError(
                f"Cannot page by {column}: give it its type, as in type_=Text."
            )
        form = cursor_form(type_)
        if form is None:
            raise TypeError(
                f"Cannot page by {column}, a {type_!r}: page by a column of another type, "
                f"or by an expression such as cast({column}, Text)."
            )
        self.form, self.parameter = form, parameter
        # What is stored, whatever a decorator of the type makes of it.
        self.sort_key = type_coerce(self.expression, type_)
        self.selected = form.selected(self.sort_key)
        self.mapper = getattr(getattr(column, "parent", None), "mapper", None)
        self.is_nullable = _may_be_null(self.expression)

    def write(self, value: Any) -> Any:
        """Return what stands for a selected value in a cursor."""
        if value is not None:
            return self.form.write(value)
        if not self.is_nullable:
            raise ValueError(
                f"{self.expression} is null in a row: page by another column."
            )
        return None

    @property
    def value(self) -> Any:
        """The Pydantic type of its value in a cursor."""
        return self.form.value | None if self.is_nullable else self.form.value

    def bind(self) -> ColumnElement[Any]:
        """Return the parameter of a cursor's value."""
        return self.form.parameter(self.parameter)

    def equals(self, *, is_null: bool) -> ColumnElement[bool]:
        """Return the condition of the rows with the cursor's value."""
        return self.sort_key.is_(None) if is_null else self.sort_key == self.bind()

    def beyond(self, *, is_null: bool, descending: bool) -> ColumnElement[bool]:
        """Return the condition of the rows with a later value; null is the greatest."""
        if is_null:
            return self.sort_key.is_not(None) if descending else false()
        if descending:
            return self.sort_key < self.bind()
        return or_(self.sort_key > self.bind(), self.sort_key.is_(None))

    @property
    def sources(self) -> set[FromClause]:
        """The tables that the value comes from."""
        parts = iterate(self.expression)
        return {part.table for part in parts if isinstance(part, Column)}


def mark_nullable(columns: Sequence[KeysetColumn]) -> None:
    """Mark the columns that an outer join may fill with nulls.

    Raises TypeError where rows may have the same values in all columns, for a page could
    end between two of them.
    """
    for column in reversed(columns):
        source = getattr(column.expression, "table", None)
        paged = {
            base
            for other in columns
            if getattr(other.expression, "table", None) is source
            for base in other.expression.base_columns
        }
        keys = _unique_keys(column)
        if any(key <= paged for key in keys):
            tables = column.mapper.tables if column.mapper else ()
            for other in columns:
                other.is_nullable |= not other.sources <= {source, *tables}
            return
    raise TypeError(
        f"Cannot page by {', '.join(str(column.expression) for column in columns)} alone: "
        "rows may have the same values. End with a unique column, such as the primary key."
    )


def _unique_keys(column: KeysetColumn) -> Iterator[set[Any]]:
    """Yield the sets of columns of a column's table that no two rows have in common."""
    if column.mapper is not None:
        yield set(column.mapper.primary_key)
    for base in column.expression.base_columns:
        table = getattr(base, "table", None)
        if not isinstance(table, Table):
            continue
        unique = [c for c in table.constraints if isinstance(c, UniqueConstraint)]
        keys = [table.primary_key, *unique, *filter(_is_unique, table.indexes)]
        for key in keys:
            found = set(key.columns)
            if found and not any(c.nullable for c in found):
                yield found


def _is_unique(index: Any) -> bool:
    is_partial = index.dialect_options["postgresql"]["where"] is not None
    has_expressions = any(not isinstance(e, Column) for e in index.expressions)
    return index.unique and not is_partial and not has_expressions


def _may_be_null(expression: Any) -> bool:
    """Return whether an expression may be null, as far as its parts tell."""
    match expression:
        case Column():
            return bool(expression.nullable)
        case BindParameter():
            return expression.value is None
        case coalesce():
            return all(map(_may_be_null, expression.clauses))
        case Cast():
            return _may_be_null(expression.clause)
        case Label():
            return _may_be_null(expression.element)
        case FunctionElement(name="left" | "lower" | "upper"):
            return any(map(_may_be_null, expression.clauses))
        case _ if getattr(expression, "operator", None) is collate:
            return _may_be_null(expression.left)
    return True
