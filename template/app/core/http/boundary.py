"""The outermost layer: what is true of every response, whoever made it."""

import asyncio
import logging
import re
from http import HTTPStatus
from time import perf_counter

from asgi_correlation_id import CorrelationIdMiddleware
from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.http.deadline import Client
from app.core.http.problems import Problem, phrase

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
DETAILS = {
    400: "The request is not valid.",
    413: "The body is larger than this service takes.",
    500: "The service failed. The error is logged under the id of the request.",
    503: "The request took too long. Try again.",
}

access = logging.getLogger("app.access")
logger = logging.getLogger(__name__)


def put_in_envelope(app: FastAPI, *, timeout: float) -> None:
    """Wrap the application, and all middleware it will ever have.

    Outside even the framework's own: what that answers by itself, as text, becomes a
    problem document too, and nothing it raises reaches the server, which would close
    the connection and with it the client's next request.
    """
    build = app.build_middleware_stack

    def build_with_envelope() -> ASGIApp:
        return CorrelationIdMiddleware(
            Envelope(build(), timeout),
            validator=lambda value: REQUEST_ID.fullmatch(value) is not None,
        )

    app.build_middleware_stack = build_with_envelope


class Envelope:
    """Sets a deadline and headers, answers what nobody answered, logs each request."""

    def __init__(self, app: ASGIApp, timeout: float) -> None:
        self.app, self._timeout = app, timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start = perf_counter()
        response = Response(send, scope, receive)
        deadline = asyncio.timeout(None)
        try:
            client = Client(scope, receive, deadline, seconds=self._timeout)
            async with deadline, client as response.client:
                await self.app(scope, response.client.receive, response.send)
        except Exception as error:
            if isinstance(error, TimeoutError) and deadline.expired():
                logger.warning("deadline exceeded or client gone")
                await response.answer(HTTPStatus.SERVICE_UNAVAILABLE)
            else:
                logger.exception("unhandled error")
                await response.answer(HTTPStatus.INTERNAL_SERVER_ERROR)
        finally:
            access.info(
                "request",
                extra={
                    "method": scope["method"],
                    "route": getattr(scope.get("route"), "path", None),
                    "status": response.status,
                    "duration_ms": round((perf_counter() - start) * 1000, 1),
                },
            )


class Response:
    """The response to one request, on its way to the server."""

    client: Client

    def __init__(self, send: Send, scope: Scope, receive: Receive) -> None:
        self._send, self._scope, self._receive = send, scope, receive
        self._replaced = False
        self.status = 0

    async def send(self, message: Message) -> None:
        """Pass a message on, unless it belongs to an error that is a plain text."""
        if message["type"] == "http.response.start":
            self.client.is_answered()
            headers = MutableHeaders(scope=message)
            headers["X-Content-Type-Options"] = "nosniff"
            is_text = headers.get("content-type", "").startswith("text/plain")
            if message["status"] >= HTTPStatus.BAD_REQUEST and is_text:
                self._replaced = True
                await self.answer(message["status"])
            self.status = int(message["status"])
        if not self._replaced:
            await self._send(message)

    async def answer(self, status: int) -> None:
        """Answer with a problem, unless another response has begun."""
        if self.status:
            return
        self.status = int(status)
        detail = DETAILS.get(status) or phrase(status)
        problem = Problem(status, detail, headers={"X-Content-Type-Options": "nosniff"})
        if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            problem.headers["Connection"] = "close"
        await problem(self._scope, self._receive, self._send)
