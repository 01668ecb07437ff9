"""The router of a feature, and the route of a request."""

from fastapi import APIRouter
from starlette.types import Scope


class FeatureRouter(APIRouter):
    """The router of a feature, which a request finds by the prefix: see `route_index`."""


def route_path(scope: Scope) -> str | None:
    """Return the path of the route of a request, with the prefixes of all its routers."""
    context = scope.get("fastapi", {}).get("effective_route_context")
    route = context or scope.get("route")
    return getattr(getattr(route, "starlette_route", None) or route, "path", None)
