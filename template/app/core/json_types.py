"""Types that are as strict as JSON Schema, where Pydantic's own are more generous."""

from typing import Annotated

from pydantic import BeforeValidator


def _number(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a number")
    return value


# 1 and 1.0, but neither true nor "1".
JsonInteger = Annotated[int, BeforeValidator(_number)]
