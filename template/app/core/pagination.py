"""Moved to `app.core.db.pagination`; import from there before 1.0, which drops this module."""

from app.core.db.pagination import Order, Page, PageQuery, Rows, get_page

__all__ = ["Order", "Page", "PageQuery", "Rows", "get_page"]
