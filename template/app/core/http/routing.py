"""The router of a feature."""

from fastapi import APIRouter


class FeatureRouter(APIRouter):
    """The router of a feature, which a request finds by the prefix: see `route_index`."""
