"""How values go into a cursor, and come back from it to be compared."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints
from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Date,
    DateTime,
    Double,
    Enum,
    Float,
    Integer,
    Numeric,
    SmallInteger,
    String,
    Text,
    Time,
    Uuid,
    bindparam,
    cast,
    func,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import INTERVAL
from sqlalchemy.types import TypeEngine, UserDefinedType

from app.core.json_types import TEXT


class AsItsColumn(UserDefinedType[Any]):
    """The type of the column that a value is compared with, whatever it is.

    A cast to VARCHAR would compare a citext in another order than its own.
    """

    cache_ok = True


@dataclass(frozen=True)
class CursorForm:
    """The form of a type's values in a cursor.

    A cursor comes from a client and may hold anything: `value` is the Pydantic type that
    turns it into a value to bind. `write` is its inverse, for what `select` selects.
    """

    value: Any
    bound: TypeEngine[Any]
    cast: TypeEngine[Any] | None = None
    select: Callable[[ColumnElement[Any]], ColumnElement[Any]] | None = None
    write: Callable[[Any], Any] = lambda value: value

    def selected(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """Return what is selected of a column for the cursor."""
        return self.select(column) if self.select else type_coerce(column, self.bound)

    def parameter(self, name: str) -> ColumnElement[Any]:
        """Return the parameter that the column is compared with."""
        parameter = bindparam(name, type_=self.bound, unique=False)
        return parameter if self.cast is None else cast(parameter, self.cast)


def _integer(bits: int) -> Any:
    return Annotated[int, Field(ge=-(2 ** (bits - 1)), lt=2 ** (bits - 1))]


def _endless(read: Callable[[str], date]) -> Any:
    """Return the type of the text of a date or time, or of infinity."""

    def check(text: str) -> str:
        return text if text in {"infinity", "-infinity"} else read(text).isoformat()

    return Annotated[str, AfterValidator(check)]


def _read_instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("no time zone")
    return instant.astimezone(UTC)


def _read_local(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=None)


def _write_instant(value: datetime) -> str:
    if value.tzinfo is None:  # So asyncpg writes infinity.
        return "infinity" if value.year > 1 else "-infinity"
    return value.isoformat()


def _as_json(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Select a value as text, which does not depend on the DateStyle.

    asyncpg cannot tell 9999-12-31 from infinity, nor a year from 365 days.
    """
    return cast(func.to_json(column), Text)


def _write_json(value: str) -> str:
    return value.strip('"')


TEXTS = Annotated[str, StringConstraints(pattern=TEXT)]
DECIMALS = r"^(-?\d+(\.\d+)?|NaN|-?Infinity)$"
INTERVALS = (
    r"^-?infinity$|^(-?\d{1,9} years? ?)?([-+]?\d{1,9} mons? ?)?([-+]?\d{1,9} days? ?)?"
    r"([-+]?\d{1,9}:\d\d:\d\d(\.\d{1,6})?)?$"
)
INSTANT = CursorForm(
    _endless(_read_instant), Text(), DateTime(timezone=True), None, _write_instant
)
LOCAL_TIME = CursorForm(
    _endless(_read_local), Text(), DateTime(), _as_json, _write_json
)
# The first that fits.
FORMS: dict[type[TypeEngine[Any]], CursorForm] = {
    SmallInteger: CursorForm(_integer(16), SmallInteger()),
    BigInteger: CursorForm(_integer(64), BigInteger()),
    Integer: CursorForm(_integer(32), Integer()),
    Boolean: CursorForm(bool, Boolean()),
    String: CursorForm(TEXTS, AsItsColumn()),
    Uuid: CursorForm(UUID, Uuid(), write=str),
    Date: CursorForm(
        _endless(date.fromisoformat), Text(), Date(), _as_json, _write_json
    ),
    Time: CursorForm(time, Time(), write=time.isoformat),
    INTERVAL: CursorForm(
        Annotated[str, StringConstraints(pattern=INTERVALS)],
        Text(),
        INTERVAL(),
        _as_json,
        _write_json,
    ),
    Float: CursorForm(Annotated[str, AfterValidator(float)], Double(), write=str),
    Numeric: CursorForm(
        Annotated[str, StringConstraints(pattern=DECIMALS), AfterValidator(Decimal)],
        Numeric(),
        write="{:f}".format,
    ),
}


def cursor_form(type_: TypeEngine[Any]) -> CursorForm | None:
    """Return the form of a type's values, or None where they do not go into a cursor."""
    match type_:
        case Enum():
            labels: Any = Literal.__getitem__(tuple(type_.enums))
            if type_.native_enum:
                return CursorForm(labels, Text(), type_, lambda c: cast(c, Text))
            return CursorForm(labels, AsItsColumn())
        case DateTime():
            return INSTANT if type_.timezone else LOCAL_TIME
        case Time(timezone=True) | Uuid(native_uuid=False):
            return None
    return next((form for kind, form in FORMS.items() if isinstance(type_, kind)), None)
