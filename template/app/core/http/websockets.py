"""The boundary of a WebSocket: a log line, and a proper close after an error."""

import logging
from contextlib import suppress
from http import HTTPStatus
from time import perf_counter

from asgi_correlation_id import correlation_id
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from app.core.http.loggable_errors import loggable
from app.core.http.problems import Problem
from app.core.http.route_index import route_path

INTERNAL_ERROR = 1011  # RFC 6455 §7.4.1

access = logging.getLogger("app.access")
logger = logging.getLogger(__name__)


async def run_websocket(
    app: ASGIApp, scope: Scope, receive: Receive, send: Send
) -> None:
    """Run a WebSocket until it is closed, without a deadline, and log how it ended.

    An unhandled error is a 500 before the handshake, and a close with the code 1011
    after it. A client that leaves is not an error.
    """
    start = perf_counter()
    socket = Socket(scope, receive, send)
    try:
        await app(scope, socket.receive, socket.send)
    except WebSocketDisconnect:
        pass
    except Exception as error:
        logger.exception("unhandled error", exc_info=loggable(error))
        await socket.fail()
    finally:
        access.info(
            "websocket",
            extra={
                "route": route_path(scope),
                "status": socket.status,
                "code": socket.code,
                "duration_ms": round((perf_counter() - start) * 1000, 1),
            },
        )


class Socket:
    """The status of a handshake, and the code with which either side closes."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self.status = 0
        self.code: int | None = None

    async def receive(self) -> Message:
        """Return the next message of the client, or its disconnect."""
        message = await self._receive()
        if message["type"] == "websocket.disconnect" and self.code is None:
            self.code = message["code"]
        return message

    async def send(self, message: Message) -> None:
        """Pass a message on to the client."""
        match message["type"]:
            case "websocket.accept":
                self.status = int(HTTPStatus.SWITCHING_PROTOCOLS)
            case "websocket.http.response.start":
                self.status = message["status"]
            case "websocket.close" if self.status:
                self.code = message["code"]
            case "websocket.close":
                self.status = int(HTTPStatus.FORBIDDEN)
        await self._send(message)

    async def fail(self) -> None:
        """Tell the client that the service failed, unless either side has closed."""
        detail = (
            f"The service failed. The error is logged under {correlation_id.get()}."
        )
        with suppress(OSError):
            if not self.status:
                problem = Problem(HTTPStatus.INTERNAL_SERVER_ERROR, detail)
                await problem(self._scope, self._receive, self.send)
            elif self.status == HTTPStatus.SWITCHING_PROTOCOLS and self.code is None:
                close = {"code": INTERNAL_ERROR, "reason": detail}
                await self.send({"type": "websocket.close", **close})
