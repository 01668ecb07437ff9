"""Moved to `app.core.http.idempotency`; import from there before 1.0, which drops this module."""

from app.core.http.idempotency import IdempotencyKeyMixin, Once, OnceDep

__all__ = ["IdempotencyKeyMixin", "Once", "OnceDep"]
