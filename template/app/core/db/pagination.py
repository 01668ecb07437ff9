"""Lists in pages that no insert or delete shifts: keyset pagination."""

import uuid
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date
from types import GenericAlias
from typing import Annotated, Any, Generic, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
)
from sqlalchemy import (
    BigInteger,
    Date,
    DateTime,
    Integer,
    Select,
    SmallInteger,
    String,
    Uuid,
    bindparam,
    tuple_,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from app.core.errors import InvalidError
from app.core.json_types import TEXT

T = TypeVar("T")

# A cursor comes from a client, and could hold anything: what PostgreSQL takes, by column.
VALUES: dict[type, Any] = {
    SmallInteger: Annotated[int, Field(ge=-(2**15), lt=2**15)],
    BigInteger: Annotated[int, Field(ge=-(2**63), lt=2**63)],
    Integer: Annotated[int, Field(ge=-(2**31), lt=2**31)],
    String: Annotated[str, StringConstraints(pattern=TEXT)],
    Date: date,
    DateTime: Annotated[AwareDatetime, AfterValidator(lambda t: t.astimezone(UTC))],
    Uuid: uuid.UUID,
}


class Page(BaseModel, Generic[T]):
    """A part of a list, and where the next one begins."""

    items: list[T]
    next: Annotated[
        str | None, Field(description="The `cursor` of the next page; null: no more.")
    ]


class PageQuery(BaseModel):
    """Which part of a list; a feature adds its own filters and its `sort`."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: Annotated[
        str | None, Field(max_length=2000, description="`next` of the page before.")
    ] = None


@dataclass(frozen=True, slots=True)
class Rows(Generic[T]):
    """The rows of a page; `Page` is its form for a client."""

    items: Sequence[T]
    next: str | None


class Order:
    """An order by columns, which must not be null; the last one is unique.

    An index on exactly these columns makes every page as fast as the first.
    """

    def __init__(
        self, *columns: InstrumentedAttribute[Any], descending: bool = False
    ) -> None:
        self._names = [column.key for column in columns]
        values: Any = GenericAlias(tuple, tuple(map(_value, columns)))
        self._values = TypeAdapter(values)
        self.by = [c.desc() if descending else c.asc() for c in columns]
        # What follows a place, whose values have the names that `place` gives them.
        row = tuple_(*columns)
        place = tuple_(
            *(bindparam(f"after_{c.key}", type_=c.type, unique=False) for c in columns)
        )
        self.follows = row < place if descending else row > place

    def cursor(self, row: object) -> str:
        """Return the place of a row in this order, as a client keeps it."""
        place = tuple(getattr(row, name) for name in self._names)
        return urlsafe_b64encode(self._values.dump_json(place)).decode().rstrip("=")

    def place(self, cursor: str) -> dict[str, Any]:
        """Return the values of a cursor, by name, or raise InvalidError."""
        try:
            json = b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True)
            place = self._values.validate_json(json, strict=True)
        except (ValueError, OverflowError):
            raise InvalidError(
                "The cursor is not one of this order: leave it out to start anew.",
                loc=["query", "cursor"],
            ) from None
        names = (f"after_{name}" for name in self._names)
        return dict(zip(names, place, strict=True))


def _value(column: InstrumentedAttribute[Any]) -> Any:
    for kind, value in VALUES.items():
        if isinstance(column.type, kind):
            return value
    raise TypeError(f"A list cannot be in the order of {column}, a {column.type!r}.")


async def get_page(
    session: AsyncSession, query: Select[T], order: Order, page: PageQuery
) -> Rows[T]:
    """Return a page of what a query selects, with one round trip and no count."""
    query = query.order_by(*order.by).limit(page.limit + 1)
    place = {}
    if page.cursor is not None:
        query, place = query.where(order.follows), order.place(page.cursor)
    rows = (await session.scalars(query, place)).all()
    items = rows[: page.limit]
    return Rows(items, order.cursor(items[-1]) if len(rows) > page.limit else None)
