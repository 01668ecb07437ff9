"""Refuses routes whose session does not end when their work does."""

import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from inspect import (
    isasyncgenfunction,
    iscoroutinefunction,
    isgeneratorfunction,
    unwrap,
)
from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIWebSocketRoute, iter_route_contexts

from app.core.database import get_db, get_read_db
from app.core.http.query_models import excess_of_parameter_models

INSTEAD = "`async with async_session_factory() as session:`"

logger = logging.getLogger(__name__)


def add_route_checks(app: FastAPI) -> None:
    """Check the routes at once, and when the service starts those that were added later."""
    check_routes(app)
    run = app.router.lifespan_context

    @asynccontextmanager
    async def check_and_run(app: FastAPI) -> AsyncGenerator[Any]:
        check_routes(app)
        if excess := excess_of_parameter_models(app):
            logger.warning(excess)
        async with run(app) as state:
            yield state

    app.router.lifespan_context = check_and_run


def check_routes(app: FastAPI) -> None:
    """Raise RuntimeError for a route that streams, or is a WebSocket, with a session."""
    for route in iter_route_contexts(app.routes):
        dependant = getattr(route, "dependant", None)
        if dependant is None:
            continue
        if isinstance(route.original_route, APIWebSocketRoute):
            if _has_session(dependant, lambda _: True):
                raise RuntimeError(
                    f"The WebSocket {route.path} would keep a session, and a connection "
                    "to the database, until its client leaves. Open one for each "
                    f"message instead: {INSTEAD}."
                )
        elif _yields(route.endpoint) and _has_session(dependant, _cannot_await):
            raise RuntimeError(
                f"The route {route.path} yields, and its session ends before that. Open "
                f"one where it yields instead: {INSTEAD}."
            )


def _has_session(dependant: Dependant, passes_on: Callable[[Dependant], bool]) -> bool:
    return any(
        each.call in (get_db, get_read_db)
        or (passes_on(each) and _has_session(each, passes_on))
        for each in dependant.dependencies
    )


def _cannot_await(dependant: Dependant) -> bool:
    """Return whether a dependency can do nothing with a session but pass it on.

    A coroutine can, like one that looks up the user, and is done when the route starts.
    """
    call = dependant.call
    return not iscoroutinefunction(call) and not iscoroutinefunction(
        type(call).__call__
    )


def _yields(endpoint: Callable[..., Any] | None) -> bool:
    function = unwrap(endpoint) if endpoint else None
    return isasyncgenfunction(function) or isgeneratorfunction(function)
