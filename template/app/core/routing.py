"""Moved to `app.core.http.routing`; import from there: 1.0 drops this path."""

from app.core.http.routing import FeatureRouter

__all__ = ["FeatureRouter"]
