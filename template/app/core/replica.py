"""Moved to `app.core.db.replica`; import from there: 1.0 drops this path."""

from app.core.db.replica import ReplicaFallback

__all__ = ["ReplicaFallback"]
