"""Moved to `app.core.db.local_postgres`; import from there before 1.0, which drops this module."""

from app.core.db.local_postgres import programs, start

__all__ = ["programs", "start"]
