"""Finds the routes of a request by the beginning of its path."""

from collections.abc import Iterable, Iterator
from copy import copy
from itertools import chain, takewhile
from operator import attrgetter, itemgetter
from os.path import commonprefix
from typing import NamedTuple

from fastapi import APIRouter, FastAPI
from fastapi.routing import (
    APIRoute,
    APIWebSocketRoute,
    RouteContext,
    _EffectiveRouteContext,
    _get_fastapi_scope,
    _IncludedRouter,
    _route_selected,
    iter_route_contexts,
)
from starlette._utils import get_route_path
from starlette.routing import (
    BaseRoute,
    Match,
    Mount,
    Route,
    WebSocketRoute,
    compile_path,
)
from starlette.types import Receive, Scope, Send

ROUTES = "app.core.routes"
# They match only what begins like their path, which one of a team's own need not do.
KINDS = (APIRoute, APIWebSocketRoute, Mount, Route, WebSocketRoute)
MATCH_THEIR_PATH = {kind.matches for kind in KINDS}
VERSION = attrgetter("_routes_version")


def index_routes(app: FastAPI) -> None:
    """Let requests try only the routes that their path begins like."""
    app.router.middleware_stack = RouteIndex(app.router)


def methods_of(scope: Scope) -> set[str]:
    """Return all methods of a path: the framework lists those of one route only."""
    path = get_route_path(scope)
    return {
        method
        for route in iter_route_contexts(scope[ROUTES])
        if route.path and compile_path(route.path)[0].match(path)
        for method in route.methods or ()
    }


class Routers:
    """Some routers, whose versions FastAPI counts up when a route is added."""

    def __init__(self, routers: Iterable[APIRouter]) -> None:
        self._routers = list(routers)
        self._known = self._versions()

    def have_changed(self) -> bool:
        """Return whether a route was added since these routers were read."""
        return self._versions() != self._known

    def _versions(self) -> int:
        return sum(map(VERSION, self._routers))


class Routes(NamedTuple):
    """The routes of all paths with one beginning: the `plain` ones, which come first."""

    router: APIRouter
    plain: list[_EffectiveRouteContext]
    around: Routers


class RouteIndex:
    """A router of the same routes, whose cost does not depend on their number.

    FastAPI tries the routes of each feature in turn, and finds the last of two hundred
    features in half a millisecond. It tries them once for each router around them, and once
    more to find the route. The private names of FastAPI and Starlette are held by
    `tests/core/test_routing.py`.

    A route that is added between two requests is found too, unless another feature already
    responds to its path: only a request that no plain route takes looks at all the routers.
    """

    def __init__(self, router: APIRouter) -> None:
        self._router = router
        self._routes: dict[str, Routes] = {}
        # Of all routers. Their versions would cost a tenth of a 404 with 200 features.
        self._lists: list[list[BaseRoute]] = []
        self._length = 0
        self._outermost: list[BaseRoute] | None = None
        self._depth = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._router.app(scope, receive, send)
            return
        path = get_route_path(scope)
        # FastAPI finds whatever a team does to the outermost list, and no version tells.
        changed = self._router.routes != self._outermost
        if changed or (routes := self._find(path)).around.have_changed():
            self._build()
            routes = self._find(path)
        scope[ROUTES] = routes.router.routes
        # Makes the URLs of all routes.
        scope.setdefault("router", self._router)
        for route in routes.plain:
            match, found = route.matches(scope)
            if match is Match.FULL:
                scope.update(found)
                _route_selected(scope=scope, path=route.path_format)
                _get_fastapi_scope(scope)["effective_route_context"] = route
                scope["route"] = route.original_route
                await route.original_route.handle(scope, receive, send)
                return
        if sum(map(len, self._lists)) != self._length:
            self._build()
            routes = self._find(path)
            scope[ROUTES] = routes.router.routes
        await routes.router.app(scope, receive, send)

    def _find(self, path: str) -> Routes:
        """Return the routes that a path can match."""
        # No deeper than any prefix: a path of slashes only would take long.
        path = "/".join(path.split("/", self._depth + 1)[: self._depth + 1])
        while path not in self._routes:
            path = path.rpartition("/")[0]
        return self._routes[path]

    def _build(self) -> None:
        routers = list(_routers_in(self._router))
        outer = [
            router
            for router in routers
            if any(isinstance(route, _IncludedRouter) for route in router.routes)
        ]
        parts = chain.from_iterable(map(self._take_apart, self._router.routes))
        by_prefix: dict[str, list[tuple[int, BaseRoute]]] = {"": []}
        for part in enumerate(parts):
            by_prefix.setdefault(_prefix_of(part[1]), []).append(part)
        self._routes = {}
        for prefix in by_prefix:
            found = (by_prefix.get(each, ()) for each in _beginnings(prefix))
            # In the order in which they were added: the first that matches responds.
            ordered = sorted(chain.from_iterable(found), key=itemgetter(0))
            router = copy(self._router)
            router.routes = [route for _, route in ordered]
            around = Routers(chain(outer, _routers_in(router)))
            self._routes[prefix] = Routes(router, list(_plain_routes(router)), around)
        self._depth = max(prefix.count("/") for prefix in by_prefix)
        self._lists = [router.routes for router in routers]
        self._length = sum(map(len, self._lists))
        self._outermost = list(self._router.routes)

    def _take_apart(self, route: BaseRoute) -> Iterator[BaseRoute]:
        """Yield what a router includes, each as a route of its own."""
        if not isinstance(route, _IncludedRouter) or not _can_be_taken_apart(route):
            yield route
            return
        for candidate in route.effective_candidates():
            if isinstance(candidate, _IncludedRouter):
                yield from self._take_apart(candidate)
            else:
                own = copy(route.original_router)
                own.routes = [candidate.original_route]
                yield _IncludedRouter(own, route.include_context)


def _routers_in(router: APIRouter) -> Iterator[APIRouter]:
    yield router
    for route in router.routes:
        if isinstance(route, _IncludedRouter):
            yield from _routers_in(route.original_router)


def _plain_routes(router: APIRouter) -> Iterator[_EffectiveRouteContext]:
    """Yield the routes at the beginning of a router that FastAPI would only have to try."""
    if _limits_forms(router):
        return
    for route in router.routes:
        if not isinstance(route, _IncludedRouter) or not _only_includes(route):
            return
        for candidate in route.effective_candidates():
            if (
                not isinstance(candidate, _EffectiveRouteContext)
                or not isinstance(candidate.original_route, APIRoute)
                or type(candidate.original_route).matches != APIRoute.matches
            ):
                return
            yield candidate


def _can_be_taken_apart(route: _IncludedRouter) -> bool:
    """Return whether a router includes others, and passes on only what they have too."""
    candidates = route.effective_candidates()
    return _only_includes(route) and any(
        isinstance(candidate, _IncludedRouter) for candidate in candidates
    )


def _only_includes(route: _IncludedRouter) -> bool:
    """Return whether a router does no more than to try its routes."""
    kind = type(route.original_router)
    return (
        not route.effective_low_priority_routes()
        and not _limits_forms(route.include_context)
        and not _limits_forms(route.original_router)
        and (kind.matches, kind.handle) == (APIRouter.matches, APIRouter.handle)
    )


def _limits_forms(limited: object) -> bool:
    # FastAPI has them from 0.165 on.
    return bool(getattr(limited, "form_limits", None))


def _prefix_of(route: BaseRoute) -> str:
    """Return how the paths of a route begin, in whole segments without a parameter."""
    contexts = list(iter_route_contexts([route]))
    if not contexts or not all(map(_matches_its_path, contexts)):
        return ""
    if isinstance(route, _IncludedRouter) and route.effective_low_priority_routes():
        return ""
    segments = [
        list(takewhile(lambda part: "{" not in part, str(context.path).split("/")))
        for context in contexts
    ]
    return "/".join(commonprefix(segments)).rstrip("/")


def _matches_its_path(context: RouteContext) -> bool:
    return type(context.original_route).matches in MATCH_THEIR_PATH


def _beginnings(path: str) -> Iterator[str]:
    """Yield a path without its last segments, the longest first and the empty one last."""
    while path:
        yield path
        path = path.rpartition("/")[0]
    yield ""


def route_path(scope: Scope) -> str | None:
    """Return the path of the route of a request, with the prefixes of all its routers."""
    context = scope.get("fastapi", {}).get("effective_route_context")
    route = context or scope.get("route")
    return getattr(getattr(route, "starlette_route", None) or route, "path", None)
