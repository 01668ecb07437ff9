"""Keyset pagination: pages that inserts and deletes do not shift."""

from base64 import b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from json import JSONEncoder
from types import GenericAlias
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from sqlalchemy import ColumnElement, Select, and_, false, or_, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.db.keyset_columns import KeysetColumn, mark_nullable
from app.core.errors import InvalidError

T = TypeVar("T")
AnySelect = TypeVar("AnySelect", bound=Select[*tuple[Any, ...]])

# Clients know it from the OpenAPI document.
MAX_CURSOR_LENGTH = 2000
to_json = JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Page(BaseModel, Generic[T]):
    """A page of a list, and where the next page starts."""

    items: list[T]
    next: Annotated[
        str | None,
        Field(description="The `cursor` of the next page; null on the last page."),
    ]


class PageQuery(BaseModel):
    """Selects a page of a list; a feature adds its own filters and its `sort`."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: Annotated[
        str | None,
        Field(max_length=MAX_CURSOR_LENGTH, description="`next` of the previous page."),
    ] = None


@dataclass(frozen=True, slots=True)
class ResultPage(Generic[T]):
    """The rows of a page; `Page` is its representation for a client."""

    items: Sequence[T]
    next: str | None


class Keyset:
    """A sort key: columns or other expressions, among them a unique one, such as the last.

    An index on exactly these columns makes every page as fast as the first, unless one of
    them may be null. Nulls come last, and first where the order is descending. Raises
    TypeError, with what to do instead, for columns that cannot page.
    """

    def __init__(self, *columns: Any, descending: bool = False) -> None:
        self._columns = [
            KeysetColumn(column, f"after_{i}") for i, column in enumerate(columns)
        ]
        mark_nullable(self._columns)
        self._descending = descending
        keys = [column.sort_key for column in self._columns]
        self.by = [key.desc() if descending else key.asc() for key in keys]
        # The columns to select, whose values make a cursor.
        self.selected = [column.selected for column in self._columns]

    @cached_property
    def _position(self) -> TypeAdapter[Any]:
        values = tuple(column.value for column in self._columns)
        position: Any = GenericAlias(tuple, values)
        return TypeAdapter(position)

    def cursor(self, values: Sequence[Any]) -> str:
        """Return the position of a row as an opaque string, from its `selected` values.

        Raises ValueError for what is too long, such as a text of more than a thousand characters.
        """
        written = [
            column.write(value)
            for column, value in zip(self._columns, values, strict=True)
        ]
        cursor = urlsafe_b64encode(to_json(written).encode()).decode().rstrip("=")
        if len(cursor) > MAX_CURSOR_LENGTH:
            names = ", ".join(str(column.expression) for column in self._columns)
            raise ValueError(
                f"{names} of a row is too long for a cursor: page by a part of it, as in "
                "func.left(…, 100, type_=Text)."
            )
        return cursor

    def position(self, cursor: str) -> dict[str, Any]:
        """Return the bind values of a cursor, or raise InvalidError."""
        try:
            if len(cursor) > MAX_CURSOR_LENGTH:
                raise ValueError("too long")
            json = b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True)
            values = self._position.validate_json(json, strict=True)
        except (ValueError, OverflowError):
            raise InvalidError(
                "This cursor does not belong to this sort order. Omit it to start over.",
                loc=["query", "cursor"],
            ) from None
        names = (column.parameter for column in self._columns)
        return dict(zip(names, values, strict=True))

    def after(self, nulls: Sequence[bool]) -> ColumnElement[bool]:
        """Return the condition of the rows after a position, which has nulls where told."""
        columns = self._columns
        if not any(nulls) and (
            self._descending or not any(column.is_nullable for column in columns)
        ):
            row = tuple_(*(column.sort_key for column in columns))
            position = tuple_(*(column.bind() for column in columns))
            return row < position if self._descending else row > position
        after: ColumnElement[bool] = false()
        for column, is_null in zip(reversed(columns), reversed(nulls), strict=True):
            beyond = column.beyond(is_null=is_null, descending=self._descending)
            after = or_(beyond, and_(column.equals(is_null=is_null), after))
        return after


async def get_page(
    session: AsyncSession, query: Select[T], keyset: Keyset, page: PageQuery
) -> ResultPage[T]:
    """Return a page of the rows of a query, with one round trip and no count.

    The order of the keyset replaces one of the query's own.
    """
    position = {} if page.cursor is None else keyset.position(page.cursor)
    columns = (c.label(f"cursor_{i}") for i, c in enumerate(keyset.selected))
    query = page_of(query, keyset, [value is None for value in position.values()])
    limited = query.add_columns(*columns).limit(page.limit + 1)
    rows = (await session.execute(limited, position)).all()
    items = [row[0] for row in rows[: page.limit]]
    if len(rows) <= page.limit:
        return ResultPage(items, None)
    last = rows[page.limit - 1]
    return ResultPage(items, keyset.cursor(last[-len(keyset.selected) :]))


def page_of(query: AnySelect, keyset: Keyset, nulls: Sequence[bool]) -> AnySelect:
    """Return a query in the order of a keyset, after a position unless it has no values.

    Raises ValueError for a query whose rows depend on where a page starts.
    """
    distinct_on = query._distinct_on or query._pre_columns_clause is not None
    if query._has_row_limiting_clause or distinct_on:
        raise ValueError(
            "A page of a query with limit, offset or DISTINCT ON would have other rows: "
            "select from its subquery()."
        )
    query = query.order_by(None).order_by(*keyset.by)
    return query.where(keyset.after(nulls)) if nulls else query
