"""Moved to `app.core.db.compiled_pages`; import from there: 1.0 drops this path."""

from app.core.db.compiled_pages import CompiledPages

__all__ = ["CompiledPages"]
