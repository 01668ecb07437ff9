"""Moved to `app.core.http.deadline`; import from there before 1.0, which drops this module."""

from app.core.http.deadline import Client

__all__ = ["Client"]
