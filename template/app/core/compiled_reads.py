"""Moved to `app.core.db.compiled_reads`; import from there: 1.0 drops this path."""

from app.core.database import ReaderDep, get_reader, reader
from app.core.db.compiled_reads import CompiledRead, Reader

__all__ = ["CompiledRead", "Reader", "ReaderDep", "get_reader", "reader"]
