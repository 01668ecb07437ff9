"""Types that are as strict as their JSON Schema, where Pydantic is lenient."""

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError


def _number(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PydanticCustomError("number_type", "Input should be a number")
    return value


# For an int, last in Annotated[…]: accepts 1 and 1.0, but neither true nor "1".
JSON_NUMBER = BeforeValidator(_number)

# Patterns for a str. PostgreSQL cannot store NUL. A line has no control character, which
# includes line breaks, and no space at either end. They avoid \s, which matches different
# characters in each regular expression engine.
TEXT = r"^[^\x00]*$"
LINE = r"^[^\x00-\x20\x7f]([^\x00-\x1f\x7f]*[^\x00-\x20\x7f])?$"
