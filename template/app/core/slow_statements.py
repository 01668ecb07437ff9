"""Moved to `app.core.db.slow_statements`; import from there: 1.0 drops this path."""

from app.core.db.slow_statements import log_slow_statements

__all__ = ["log_slow_statements"]
