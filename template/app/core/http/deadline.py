"""Request deadline, and cancellation when the client disconnects."""

import asyncio
from types import TracebackType
from typing import Self

from starlette.types import Message, Receive, Scope

WATCH_AFTER_SECONDS = 1


class RequestDeadline:
    """Cancels the work on one request after `seconds`, or when its client disconnects.

    It watches the client only once a response takes longer than a second, which is not
    free. A query that is running is canceled too.
    """

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        timeout: asyncio.Timeout,
        *,
        seconds: float,
    ) -> None:
        self._receive, self._timeout, self._seconds = receive, timeout, seconds
        lengths = [v for k, v in scope["headers"] if k == b"content-length"]
        is_chunked = any(k == b"transfer-encoding" for k, _ in scope["headers"])
        self._has_sent_all = not is_chunked and lengths in ([], [b"0"])
        self._is_lifted = False
        self._first: Message | None = None
        self._watch: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._patience = min(WATCH_AFTER_SECONDS, self._seconds)
        self._timer = loop.call_later(self._patience, self._watch_client)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        if self._watch is not None:
            self._watch.cancel()

    async def receive(self) -> Message:
        """Return the next part of the request, or the client's disconnect."""
        if self._first is not None:
            message, self._first = self._first, None
            return message
        if self._watch is not None:
            await asyncio.shield(self._watch)
            return {"type": "http.disconnect"}
        message = await self._receive()
        if message["type"] == "http.request":
            self._has_sent_all = not message.get("more_body", False)
        return message

    def lift(self) -> None:
        """Remove the deadline: the response has started, at the pace of its client."""
        self._move(None)
        self._is_lifted = True

    def _watch_client(self) -> None:
        self._end_in(self._seconds - self._patience)
        if self._has_sent_all:
            self._watch = asyncio.create_task(self._wait_for_disconnect())

    async def _wait_for_disconnect(self) -> None:
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                break
            self._first = message
        self._end_in(0)

    def _end_in(self, seconds: float) -> None:
        self._move(asyncio.get_running_loop().time() + seconds)

    def _move(self, when: float | None) -> None:
        # An expired deadline cannot be moved anymore.
        if not self._is_lifted and not self._timeout.expired():
            self._timeout.reschedule(when)
