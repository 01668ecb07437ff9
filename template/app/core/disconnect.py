"""Moved to `app.core.http.deadline`; import from there: 1.0 drops this path."""

from app.core.http.deadline import RequestDeadline as Client

__all__ = ["Client"]
