"""Keyset pagination: pages that inserts and deletes do not shift."""

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

# A cursor comes from a client and may hold anything: the values PostgreSQL accepts, by type.
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
        str | None, Field(max_length=2000, description="`next` of the previous page.")
    ] = None


@dataclass(frozen=True, slots=True)
class ResultPage(Generic[T]):
    """The rows of a page; `Page` is its representation for a client."""

    items: Sequence[T]
    next: str | None


class Keyset:
    """A sort key of columns that are never null and end in a unique one.

    An index on exactly these columns makes every page as fast as the first.
    """

    def __init__(
        self, *columns: InstrumentedAttribute[Any], descending: bool = False
    ) -> None:
        self._names = [column.key for column in columns]
        values: Any = GenericAlias(tuple, tuple(map(_value, columns)))
        self._values = TypeAdapter(values)
        self.by = [c.desc() if descending else c.asc() for c in columns]
        # Rows after a cursor; the bind names match `position()`.
        row = tuple_(*columns)
        position = tuple_(
            *(bindparam(f"after_{c.key}", type_=c.type, unique=False) for c in columns)
        )
        self.after = row < position if descending else row > position

    def cursor(self, row: object) -> str:
        """Return the position of a row in this order, as an opaque string."""
        position = tuple(getattr(row, name) for name in self._names)
        return urlsafe_b64encode(self._values.dump_json(position)).decode().rstrip("=")

    def position(self, cursor: str) -> dict[str, Any]:
        """Return the bind values of a cursor, or raise InvalidError."""
        try:
            json = b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True)
            values = self._values.validate_json(json, strict=True)
        except (ValueError, OverflowError):
            raise InvalidError(
                "This cursor does not belong to this sort order. Omit it to start over.",
                loc=["query", "cursor"],
            ) from None
        names = (f"after_{name}" for name in self._names)
        return dict(zip(names, values, strict=True))


def _value(column: InstrumentedAttribute[Any]) -> Any:
    for kind, value in VALUES.items():
        if isinstance(column.type, kind):
            return value
    raise TypeError(f"Cannot paginate by {column}, a {column.type!r}.")


async def get_page(
    session: AsyncSession, query: Select[T], keyset: Keyset, page: PageQuery
) -> ResultPage[T]:
    """Return a page of the rows of a query, with one round trip and no count."""
    query = query.order_by(*keyset.by).limit(page.limit + 1)
    position = {}
    if page.cursor is not None:
        query, position = query.where(keyset.after), keyset.position(page.cursor)
    rows = (await session.scalars(query, position)).all()
    items = rows[: page.limit]
    has_more = len(rows) > page.limit
    return ResultPage(items, keyset.cursor(items[-1]) if has_more else None)
