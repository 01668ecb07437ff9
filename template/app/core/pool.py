"""Moved to `app.core.db.pool`; import from there before 1.0, which drops this module."""

from app.core.db.pool import replace_dead_connections

__all__ = ["replace_dead_connections"]
