"""Request deadline, and cancellation when the client disconnects."""

import asyncio

from starlette.types import Message, Receive, Scope


class RequestDeadline:
    """Cancels the work on one request after `seconds`, or when its client disconnects.

    Create it once a response takes long: watching a client is not free. A query that is
    running is canceled too. `last` is what was received of the request most recently.
    """

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        timeout: asyncio.Timeout,
        *,
        seconds: float,
        last: Message | None,
    ) -> None:
        self._receive, self._timeout = receive, timeout
        self._is_lifted = False
        self._first: Message | None = None
        self._watch: asyncio.Task[None] | None = None
        self._end_in(seconds)
        if _has_sent_all(scope, last):
            self._watch = asyncio.create_task(self._wait_for_disconnect())

    async def receive(self) -> Message:
        """Return the next part of the request, or the client's disconnect."""
        if self._first is not None:
            message, self._first = self._first, None
            return message
        if self._watch is not None:
            await asyncio.shield(self._watch)
            return {"type": "http.disconnect"}
        return await self._receive()

    def lift(self) -> None:
        """Remove the deadline: the response has started, at the pace of its client."""
        self._move(None)
        self._is_lifted = True

    def stop(self) -> None:
        """Stop watching the client: the response is complete."""
        if self._watch is not None:
            self._watch.cancel()

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


def _has_sent_all(scope: Scope, last: Message | None) -> bool:
    """Return whether the client has nothing left to send but its disconnect."""
    if last is not None:
        return not last.get("more_body", False)
    lengths = [v for k, v in scope["headers"] if k == b"content-length"]
    is_chunked = any(k == b"transfer-encoding" for k, _ in scope["headers"])
    return not is_chunked and lengths in ([], [b"0"])
