"""Moved to `app.core.db.pool`; import from there: 1.0 drops this path."""

from app.core.db.pool import replace_dead_connections

__all__ = ["replace_dead_connections"]
