"""The outermost layer: a deadline, headers and a log line for every request."""

import asyncio
import logging
import re
import threading
from collections.abc import Container
from http import HTTPStatus
from time import perf_counter

from asgi_correlation_id import CorrelationIdMiddleware
from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.http.deadline import RequestDeadline
from app.core.http.etags import repeats_known_version, without_body
from app.core.http.headers import join_lines
from app.core.http.loggable_errors import loggable
from app.core.http.problems import Problem, body_too_large, phrase
from app.core.http.route_index import route_path
from app.core.http.websockets import run_websocket

WATCH_AFTER_SECONDS = 1
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
DETAILS = {
    400: "The request is not valid.",
    500: "The service failed. The error is logged under the request's id.",
    503: "The request took too long. Try again.",
}
WITHOUT_BODY = {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}
# After the OWASP REST Security Cheat Sheet. Strict-Transport-Security belongs where TLS
# ends, which is outside of this process.
DEFAULTS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"frame-ancestors 'none'"),
)

access = logging.getLogger("app.access")
logger = logging.getLogger(__name__)


def add_request_boundary(
    app: FastAPI,
    *,
    timeout: float,
    draining: threading.Event,
    probes: Container[str | None],
) -> None:
    """Wrap the application, together with middleware that is added later.

    It is outside even of the framework's own middleware, whose plain-text errors become
    problem documents too. Nothing is raised to the server, which would close the
    connection and fail the client's next request. `timeout` is in seconds. Once `draining`
    is set, responses tell clients to close their connections, and so to leave. Requests for
    `probes`, which are paths, are logged at INFO only if they fail.
    """
    build = app.build_middleware_stack

    def build_with_boundary() -> ASGIApp:
        return CorrelationIdMiddleware(
            RequestBoundary(build(), app, timeout, draining, probes),
            validator=lambda value: REQUEST_ID.fullmatch(value) is not None,
        )

    app.build_middleware_stack = build_with_boundary


class RequestBoundary:
    """Limits the time of a request, responds to unhandled errors, and logs each request."""

    def __init__(
        self,
        app: ASGIApp,
        service: FastAPI,
        timeout: float,
        draining: threading.Event,
        probes: Container[str | None],
    ) -> None:
        self.app, self.timeout, self.draining = app, timeout, draining
        self.probes = probes
        # A browser hides the errors of the boundary too where they lack these headers.
        self.cors = [m for m in service.user_middleware if m.cls is CORSMiddleware]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await run_websocket(self.app, scope, receive, send)
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start = perf_counter()
        if len({name for name, _ in scope["headers"]}) < len(scope["headers"]):
            join_lines(scope)
        exchange = Exchange(self, scope, receive, send)
        try:
            async with exchange.timeout:
                await self.app(scope, exchange.receive, exchange.send)
        except Exception as error:
            if isinstance(error, TimeoutError) and exchange.timeout.expired():
                logger.warning("deadline exceeded or client disconnected")
                await exchange.respond(HTTPStatus.SERVICE_UNAVAILABLE)
            else:
                logger.exception("unhandled error", exc_info=loggable(error))
                await exchange.respond(HTTPStatus.INTERNAL_SERVER_ERROR)
        finally:
            exchange.end()
            self._log(scope, exchange.status, perf_counter() - start)

    def _log(self, scope: Scope, status: int, seconds: float) -> None:
        route = route_path(scope)
        is_expected = route in self.probes and status < HTTPStatus.BAD_REQUEST
        level = logging.DEBUG if is_expected else logging.INFO
        if not access.isEnabledFor(level):
            return
        extra = {
            "method": scope["method"],
            "route": route,
            "status": status,
            "duration_ms": round(seconds * 1000, 1),
        }
        # `access.log` would also look for the line of code that logs, a fifth of the cost.
        record = access.makeRecord(
            access.name, level, __file__, 0, "request", (), None, extra=extra
        )
        access.handle(record)


class Exchange:
    """One request and its response, between the server and the application."""

    def __init__(
        self, boundary: RequestBoundary, scope: Scope, receive: Receive, send: Send
    ) -> None:
        self._boundary = boundary
        self._scope, self._receive, self._send = scope, receive, send
        self._received: Message | None = None
        self._deadline: RequestDeadline | None = None
        self._replaced = False
        self._patience = min(WATCH_AFTER_SECONDS, boundary.timeout)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._patience, self._set_deadline)
        self.timeout = asyncio.timeout(None)
        self.status = 0

    def end(self) -> None:
        """Leave the client alone: nothing more is sent."""
        self._timer.cancel()
        if self._deadline is not None:
            self._deadline.stop()

    def _set_deadline(self) -> None:
        self._deadline = RequestDeadline(
            self._scope,
            self._receive,
            self.timeout,
            seconds=self._boundary.timeout - self._patience,
            last=self._received,
        )

    async def receive(self) -> Message:
        """Return the next part of the request, or the client's disconnect."""
        if self._deadline is not None:
            return await self._deadline.receive()
        self._received = await self._receive()
        return self._received

    async def send(self, message: Message) -> None:
        """Pass a message on, unless it is part of a response that is replaced."""
        if message["type"] == "http.response.start":
            self._timer.cancel()
            if self._deadline is not None:
                self._deadline.lift()
            if message["status"] >= HTTPStatus.BAD_REQUEST and _is_text(message):
                self._replaced = True
                await self.respond(message["status"])
            elif repeats_known_version(self._scope, message):
                self._replaced = True
                message = without_body(message)
                await self._send_with_headers(message)
                await self._send({"type": "http.response.body"})
            self.status = int(message["status"])
        if not self._replaced:
            await self._send_with_headers(message)

    async def respond(self, status: int) -> None:
        """Respond with a problem, unless a response has already started."""
        if self.status:
            return
        self.status = int(status)
        detail = DETAILS.get(status) or phrase(status)
        if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            detail = body_too_large(self._scope)
        problem: ASGIApp = Problem(status, detail)
        # A preflight request that fails stays a failure.
        if self._scope["method"] != "OPTIONS":
            for cors in self._boundary.cors:
                problem = cors.cls(problem, *cors.args, **cors.kwargs)
        await problem(self._scope, self._receive, self._send_with_headers)

    async def _send_with_headers(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            _add_defaults(message)
            # A body that is too large is not read to its end.
            too_large = message["status"] == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
            if too_large or self._boundary.draining.is_set():
                message["headers"].append((b"connection", b"close"))
        await self._send(message)


def _is_text(start: Message) -> bool:
    return Headers(scope=start).get("content-type", "").startswith("text/plain")


def _add_defaults(start: Message) -> None:
    """Add headers that a response lacks to its first message, and drop a wrong one."""
    headers = list(start.get("headers", ()))
    if start["status"] in WITHOUT_BODY:
        # The framework's, which announces JSON: clients try to parse it.
        headers = [header for header in headers if header[0] != b"content-type"]
    start["headers"] = headers
    names = {name for name, _ in headers}
    headers += [default for default in DEFAULTS if default[0] not in names]
    if b"cache-control" not in names:
        # What has a validator may be kept, but is asked for again each time.
        is_validated = b"etag" in names or b"last-modified" in names
        kept = b"private, no-cache" if is_validated else b"no-store"
        headers.append((b"cache-control", kept))
