"""Moved to `app.core.db.compiled_pages`; import from there before 1.0, which drops this module."""

from app.core.db.compiled_pages import CompiledPages

__all__ = ["CompiledPages"]
