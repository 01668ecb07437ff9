"""Moved to `app.core.http.etags`; import from there: 1.0 drops this path."""

from app.core.http.etags import (
    ETAG,
    ETAG_AND_LOCATION,
    NOT_MODIFIED,
    IfMatch,
    IfNoneMatch,
    Versions,
    etag,
)
from app.core.http.etags import not_modified as is_known

__all__ = [
    "ETAG",
    "ETAG_AND_LOCATION",
    "NOT_MODIFIED",
    "IfMatch",
    "IfNoneMatch",
    "Versions",
    "etag",
    "is_known",
]
