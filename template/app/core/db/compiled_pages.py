"""Keyset pagination with queries that are compiled once each."""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, Generic

from sqlalchemy import BindParameter, ColumnElement, Integer, Select, bindparam
from sqlalchemy.sql.visitors import iterate

from app.core.db.compiled_reads import CompiledRead, Reader, Row
from app.core.db.pagination import Keyset, Page, PageQuery, page_of

# The parameters of `get` and of its SQL.
RESERVED = {"self", "reader", "page", "sort", "limit"}
NO_FILTERS: Mapping[str, ColumnElement[bool]] = MappingProxyType({})


class CompiledPages(Generic[Row]):
    """A list with a declared set of orders and filters; made once, at import.

    A filter is a condition with a `bindparam` of its own name:
    `{"author": Book.author == bindparam("author")}`. A `bindparam` of the select itself
    is a value that each call must give. Raises ValueError or TypeError, with what to do
    instead, for what does not fit together; an order_by of the select is replaced.
    """

    def __init__(
        self,
        select: Select[*tuple[Any, ...]],
        row: type[Row],
        *,
        orders: Mapping[Any, Keyset],
        filters: Mapping[str, ColumnElement[bool]] = NO_FILTERS,
    ) -> None:
        self._select, self._row = select, row
        self._orders, self._filters = orders, filters
        page: Any = Page
        self._page = page[row]
        self._read = cache(self._compile)
        for name, condition in filters.items():
            _check(name, condition)
        for sort in orders:
            # What does not fit fails here instead of in a request.
            self._read(sort, tuple(filters), ())

    async def get(
        self, reader: Reader, page: PageQuery, *, sort: str, **filters: object
    ) -> Page[Row]:
        """Return a page, with one round trip and no count; filters set to None are ignored."""
        keyset = self._orders[sort]
        values = {name: value for name, value in filters.items() if value is not None}
        position = {} if page.cursor is None else keyset.position(page.cursor)
        read = self._read(
            sort,
            tuple(name for name in values if name in self._filters),
            tuple(value is None for value in position.values()),
        )
        values |= {name: value for name, value in position.items() if value is not None}
        records = await reader.records(read, values | {"limit": page.limit + 1})
        items = read.rows(records[: page.limit])
        following = None
        if len(records) > page.limit:
            following = keyset.cursor(read.values_beside(records[page.limit - 1]))
        # The rows are already valid; validating them again would double the cost.
        return self._page.model_construct(items=items, next=following)

    def _compile(
        self, sort: str, filters: tuple[str, ...], nulls: tuple[bool, ...]
    ) -> CompiledRead[Row]:
        keyset = self._orders[sort]
        query = self._select.where(*(self._filters[name] for name in filters))
        query = page_of(query, keyset, nulls).limit(bindparam("limit", type_=Integer))
        return CompiledRead(query, self._row, beside=keyset.selected)


def _check(name: str, condition: ColumnElement[bool]) -> None:
    """Raise ValueError for a condition that does not fit the name of its filter."""
    binds = (part for part in iterate(condition) if isinstance(part, BindParameter))
    names = {bind.key for bind in binds if bind.required}
    if name in RESERVED or name.startswith("after_"):
        raise ValueError(f"A filter cannot have the name {name!r}: give it another.")
    if names != {name}:
        raise ValueError(
            f"The filter {name!r} needs exactly one bindparam({name!r}), not {sorted(names)}."
        )
