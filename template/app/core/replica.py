"""Moved to `app.core.db.replica`; import from there before 1.0, which drops this module."""

from app.core.db.replica import ReplicaFallback

__all__ = ["ReplicaFallback"]
