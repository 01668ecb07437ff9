"""Moved to `app.core.http.etags`; import from there before 1.0, which drops this module."""

from app.core.http.etags import (
    ETAG,
    ETAG_AND_LOCATION,
    NOT_MODIFIED,
    IfMatch,
    IfNoneMatch,
    Versions,
    etag,
    is_known,
)

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
