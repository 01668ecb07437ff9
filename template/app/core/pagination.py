"""Moved to `app.core.db.pagination`; import from there: 1.0 drops this path."""

from app.core.db.pagination import Keyset as Order
from app.core.db.pagination import Page, PageQuery, get_page
from app.core.db.pagination import ResultPage as Rows

__all__ = ["Order", "Page", "PageQuery", "Rows", "get_page"]
