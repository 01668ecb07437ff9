"""Moved to `app.core.http.database_failures`; import from there: 1.0 drops this path."""

from app.core.http.database_failures import DatabaseFailures

__all__ = ["DatabaseFailures"]
