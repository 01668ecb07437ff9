"""Moved to `app.core.http.database_failures`; import from there before 1.0, which drops this module."""

from app.core.http.database_failures import DatabaseFailures

__all__ = ["DatabaseFailures"]
