"""How long the work of a request may go on: not for ever, nor after its client has gone."""

import asyncio
from types import TracebackType
from typing import Self

from starlette.types import Message, Receive, Scope

WATCH_AFTER_SECONDS = 1


class Client:
    """The client of one request, which is only watched when the answer takes long.

    The deadline is set only then too, for a timer is not free. When the client goes, the
    deadline is now: a query that runs is cancelled.
    """

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        deadline: asyncio.Timeout,
        *,
        seconds: float,
    ) -> None:
        self._receive, self._deadline, self._seconds = receive, deadline, seconds
        lengths = [v for k, v in scope["headers"] if k == b"content-length"]
        is_chunked = any(k == b"transfer-encoding" for k, _ in scope["headers"])
        self._has_sent_all = not is_chunked and lengths in ([], [b"0"])
        self._is_answered = False
        self._first: Message | None = None
        self._watch: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._patience = min(WATCH_AFTER_SECONDS, self._seconds)
        self._timer = loop.call_later(self._patience, self._start_to_watch)
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
        """Return the next part of the request, or that the client has gone."""
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

    def is_answered(self) -> None:
        """Lift the deadline: from here on the client decides how long it takes."""
        self._move_deadline(None)
        self._is_answered = True

    def _start_to_watch(self) -> None:
        self._end_in(self._seconds - self._patience)
        if self._has_sent_all:
            self._watch = asyncio.create_task(self._wait_until_it_goes())

    async def _wait_until_it_goes(self) -> None:
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                break
            self._first = message
        self._end_in(0)

    def _end_in(self, seconds: float) -> None:
        self._move_deadline(asyncio.get_running_loop().time() + seconds)

    def _move_deadline(self, when: float | None) -> None:
        # One that is over cannot be moved any more.
        if not self._is_answered and not self._deadline.expired():
            self._deadline.reschedule(when)
