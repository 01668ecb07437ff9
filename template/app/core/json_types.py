"""Types that are as strict as their JSON Schema, and as what PostgreSQL stores."""

import re
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated

from pydantic import (
    AwareDatetime,
    BeforeValidator,
    Field,
    PlainSerializer,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError


def _number(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PydanticCustomError("number_type", "Input should be a number")
    return value


# For an int, last in Annotated[…]: accepts 1 and 1.0, but neither true nor "1".
JSON_NUMBER = BeforeValidator(_number)


def _written(pattern: str, form: str) -> BeforeValidator:
    written = re.compile(pattern, re.ASCII)

    def check(value: object) -> object:
        if isinstance(value, date | time | timedelta):
            return value
        if isinstance(value, str) and written.match(value):
            return value
        raise PydanticCustomError(
            "date_form", "Input should be written as {form}", {"form": form}
        )

    return BeforeValidator(check)


# For columns of the types timestamptz, date, and float8: what is accepted is stored as it
# is, and what cannot be written in JSON, such as an infinity in a row, is not a response.
# PostgreSQL's driver takes the first and the last value of Python for infinities.
Timestamp = Annotated[
    AwareDatetime,
    Field(gt=datetime.min.replace(tzinfo=UTC), lt=datetime.max.replace(tzinfo=UTC)),
    _written(r"\d{4}-\d\d-\d\d[Tt ]", "2026-01-31T12:00:00Z"),
]
Day = Annotated[
    date,
    Field(gt=date.min, lt=date.max),
    _written(r"\d{4}-\d\d-\d\d$", "2026-01-31"),
]
# For a column of the type time. The driver would drop an offset such as +02:00.
TimeOfDay = Annotated[time, _written(r"\d\d:\d\d(:\d\d(\.\d{1,6})?)?$", "12:30:00")]
# For a column of the type numeric, or a sum of bigint, which is one too. The driver reads
# 10000 as Decimal("1E+4"), and Pydantic writes that, or a small fraction, as it is.
PlainDecimal = Annotated[Decimal, PlainSerializer("{:f}".format, str, "json")]
# In a JSON body; everywhere else a number is text.
Number = Annotated[float, Field(allow_inf_nan=False), JSON_NUMBER]


def _duration(value: timedelta) -> str:
    """Return ISO 8601 without years and months, whose length depends on the calendar.

    Pydantic itself writes 400 days as P1Y35D, which are 401 days from a leap year on, and
    reads what Python prints for -23 hours, "-1 day, 1:00:00", as -25 hours.
    """
    minutes, seconds = divmod(value.seconds, 60)
    fraction = f".{value.microseconds:06}".rstrip("0") if value.microseconds else ""
    return f"P{value.days}DT{minutes // 60}H{minutes % 60}M{seconds}{fraction}S"


# For a column of the type interval.
Duration = Annotated[
    timedelta,
    Field(ge=timedelta()),
    _written(
        r"P(?=[\dT])(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+(\.\d{1,6})?S)?)?$", "P1DT12H30M"
    ),
    PlainSerializer(_duration, when_used="json"),
    # The same in requests and responses, or there would be two schemas of each model.
    WithJsonSchema({"type": "string", "format": "duration"}),
]

# Patterns for a str. PostgreSQL cannot store NUL. A line has no control character, which
# includes line breaks, and no space at either end. They avoid \s, which matches different
# characters in each regular expression engine.
TEXT = r"^[^\x00]*$"
LINE = r"^[^\x00-\x20\x7f]([^\x00-\x1f\x7f]*[^\x00-\x20\x7f])?$"
