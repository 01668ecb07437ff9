"""Lists in pages whose queries are compiled once each."""

from collections.abc import Mapping
from functools import cache
from typing import Any, Generic

from sqlalchemy import ColumnElement, Integer, Select, bindparam

from app.core.db.compiled_reads import CompiledRead, Reader, Row
from app.core.db.pagination import Order, Page, PageQuery


class CompiledPages(Generic[Row]):
    """A list by a declared set of orders and filters; made once, not in a request.

    A filter is a condition with a `bindparam` of its own name:
    `{"author": Book.author == bindparam("author")}`.
    """

    def __init__(
        self,
        select: Select[*tuple[Any, ...]],
        row: type[Row],
        *,
        orders: Mapping[Any, Order],
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
        """Return a page, with one round trip and no count; a filter of None is none."""
        order = self._orders[sort]
        values = {name: value for name, value in filters.items() if value is not None}
        read = self._read(sort, tuple(values), page.cursor is not None)
        if page.cursor is not None:
            values |= order.place(page.cursor)
        rows = await reader.all(read, **values, limit=page.limit + 1)
        items = rows[: page.limit]
        has_more = len(rows) > page.limit
        following = order.cursor(items[-1]) if has_more else None
        # The rows are valid already, and those of a page of another type would not be.
        return self._page.model_construct(items=items, next=following)

    def _compile(
        self, sort: str, filters: tuple[str, ...], has_place: bool
    ) -> CompiledRead[Row]:
        order = self._orders[sort]
        query = self._select.where(*(self._filters[name] for name in filters))
        if has_place:
            query = query.where(order.follows)
        query = query.order_by(*order.by).limit(bindparam("limit", type_=Integer))
        return CompiledRead(query, self._row)
