"""Moved to `app.core.db.slow_statements`; import from there before 1.0, which drops this module."""

from app.core.db.slow_statements import log_slow_statements

__all__ = ["log_slow_statements"]
