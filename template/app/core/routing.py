"""Moved to `app.core.http.routing`; import from there before 1.0, which drops this module."""

from app.core.http.routing import FeatureRouter

__all__ = ["FeatureRouter"]
