"""Moved to `app.core.db.local_postgres`; import from there: 1.0 drops this path."""

from app.core.db.local_postgres import programs, start

__all__ = ["programs", "start"]
