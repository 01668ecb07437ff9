"""Finds the routes that respond to a request without an access token."""

import asyncio
import logging
import re
from collections.abc import Iterator
from http import HTTPStatus

from fastapi import FastAPI
from fastapi.routing import APIRoute, APIWebSocketRoute, iter_route_contexts
from starlette.types import ASGIApp, Message, Scope

from app.core.auth import is_public
from tests.conftest import started

PUBLIC = {"/", "/livez", "/readyz"}


async def open_routes(app: FastAPI) -> list[str]:
    """Return the routes that are open but not declared to be public, with their names."""
    # A route that is open runs without what it needs: its errors would bury the list.
    logging.disable()
    try:
        async with started(app) as served:
            return [
                f"{scope['method']} {path} ({name})"
                for scope, path, name in _requests(app)
                if await _first_status(served, scope) != HTTPStatus.UNAUTHORIZED
            ]
    finally:
        logging.disable(logging.NOTSET)


def _requests(app: FastAPI) -> Iterator[tuple[Scope, str, str]]:
    """Yield an anonymous request for each route, with its path and its function."""
    for context in iter_route_contexts(app.routes):
        route, path = context.original_route, context.path or ""
        if isinstance(route, APIWebSocketRoute):
            kind, methods = "websocket", {"GET"}
        elif isinstance(route, APIRoute) and not is_public(route.openapi_extra):
            kind, methods = "http", route.methods or set()
        else:
            continue
        name = f"{route.endpoint.__module__}.{route.name}"
        for method in sorted(methods if path not in PUBLIC else ()):
            scope: Scope = {
                "type": kind,
                "method": method,
                "path": re.sub(r"{.*?(?::(.*?))?}", _value_of, path),
                "query_string": b"",
                "headers": [],
                "extensions": {"websocket.http.response": {}},
            }
            yield scope, path, name


def _value_of(parameter: re.Match[str]) -> str:
    """Return a value that the convertor of a parameter accepts."""
    values = {
        "int": "1",
        "float": "1.5",
        "uuid": "00000000-0000-0000-0000-000000000000",
    }
    return values.get(parameter[1], "x")


async def _first_status(app: ASGIApp, scope: Scope) -> int:
    """Return the status that a response starts with, or 0 if a WebSocket is accepted."""
    status: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    received: list[Message] = [{"type": f"{scope['type']}.disconnect", "code": 1001}]
    if scope["type"] == "websocket":
        received.append({"type": "websocket.connect"})

    async def receive() -> Message:
        return received.pop() if len(received) > 1 else received[0]

    async def send(message: Message) -> None:
        if not status.done():
            status.set_result(message.get("status", 0))

    # Nobody waits for the rest of the response: a stream may have no end.
    request = asyncio.ensure_future(app(scope, receive, send))
    await asyncio.wait({request, status}, return_when=asyncio.FIRST_COMPLETED)
    request.cancel()
    await asyncio.wait({request})
    return status.result() if status.done() else 0
