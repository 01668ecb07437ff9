"""What makes Pydantic's types as strict as JSON Schema, where they are more generous."""

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError


def _number(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PydanticCustomError("number_type", "Input should be a number")
    return value


# For an int, last in Annotated[…]: takes 1 and 1.0, but neither true nor "1".
JSON_NUMBER = BeforeValidator(_number)

# For a str, as its pattern: PostgreSQL stores no NUL; a line has no control character,
# such as the end of a line, and no space at its ends.
# Without \s, which means another set of characters to each regular expression engine.
TEXT = r"^[^\x00]*$"
LINE = r"^[^\x00-\x20\x7f]([^\x00-\x1f\x7f]*[^\x00-\x20\x7f])?$"
