"""Errors for the log, without the values that their texts contain."""

from fastapi.exceptions import ResponseValidationError
from pydantic import ValidationError

from app.core.db.failures import without_values


def loggable(error: Exception) -> Exception:
    """Return an error, or one that names the fields that are wrong but not their values."""
    if not isinstance(error, ValidationError | ResponseValidationError):
        return without_values(error)
    wrong = (
        f"{'.'.join(map(str, part['loc']))}: {part['msg']}" for part in error.errors()
    )
    text = f"{type(error).__name__}: {'; '.join(wrong)}"
    return ValueError(text).with_traceback(error.__traceback__)
