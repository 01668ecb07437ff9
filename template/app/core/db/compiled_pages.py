"""Keyset pagination with queries that are compiled once each."""

from collections.abc import Mapping
from functools import cache
from typing import Any, Generic

from sqlalchemy import ColumnElement, Integer, Select, bindparam

from app.core.db.compiled_reads import CompiledRead, Reader, Row
from app.core.db.pagination import Keyset, Page, PageQuery


class CompiledPages(Generic[Row]):
    """A list with a declared set of orders and filters; made once, at import.

    A filter is a condition with a `bindparam` of its own name:
    `{"author": Book.author == bindparam("author")}`.
    """

    def __init__(
        self,
        select: Select[*tuple[Any, ...]],
        row: type[Row],
        *,
        orders: Mapping[Any, Keyset],
        filters: Mapping[str, ColumnElement[bool]],
    ) -> None:
        self._select, self._row = select, row
        self._orders, self._filters = orders, filters
        page: Any = Page
        self._page = page[row]
        self._read = cache(self._compile)

    async def get(
        self, reader: Reader, page: PageQuery, *, sort: str, **filters: object
    ) -> Page[Row]:
        """Return a page, with one round trip and no count; filters set to None are ignored."""
        keyset = self._orders[sort]
        values = {name: value for name, value in filters.items() if value is not None}
        read = self._read(sort, tuple(values), page.cursor is not None)
        if page.cursor is not None:
            values |= keyset.position(page.cursor)
        rows = await reader.all(read, **values, limit=page.limit + 1)
        items = rows[: page.limit]
        has_more = len(rows) > page.limit
        following = keyset.cursor(items[-1]) if has_more else None
        # The rows are already valid; validating them again would double the cost.
        return self._page.model_construct(items=items, next=following)

    def _compile(
        self, sort: str, filters: tuple[str, ...], has_cursor: bool
    ) -> CompiledRead[Row]:
        keyset = self._orders[sort]
        query = self._select.where(*(self._filters[name] for name in filters))
        if has_cursor:
            query = query.where(keyset.after)
        query = query.order_by(*keyset.by).limit(bindparam("limit", type_=Integer))
        return CompiledRead(query, self._row)
