"""Maps failures of the database to responses, and retries where that is safe."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, nullcontext
from http import HTTPStatus
from weakref import WeakValueDictionary

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm.exc import StaleDataError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.db.failures import (
    DATABASE_ERRORS,
    conflicting_fields,
    driver_error,
    is_connection_lost,
    is_outdated,
    is_transient,
    refuses_value,
    sqlstate,
    without_values,
)
from app.core.http.problems import Problem

logger = logging.getLogger(__name__)

# A longer body is not kept, and its request not retried.
MAX_KEPT_BYTES = 1_000_000
# Of a change of any version: each one that fails lost to another that succeeded.
MAX_ATTEMPTS = 100
REPEATABLE_BY = {b"idempotency-key", b"if-match"}
CONFLICTS = {
    "23505": "Another record already has this {fields}.",
    "23503": "{fields} refers to a record that does not exist or is still in use.",
    "23001": "{fields} is still in use by another record.",
    "23P01": "Conflicts with another record on {fields}.",
}


class DatabaseFailures:
    """Responds with a problem where the database fails, after one retry where it is safe.

    Innermost of the middleware, around the routes, whose sessions commit. The retry hides
    a restart of PostgreSQL, or a lost connection, from reads; and a transaction that was
    rolled back in favor of another (a deadlock, a serialization failure), or because the
    schema changed, from requests that may be repeated. A request that changes any version
    (`If-Match: *`) is retried until no other one changes the row at the same time; of those
    for one path, one is retried at a time.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def send_and_note(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        body = KeptBody(receive)
        untouched = dict(scope)
        attempts = 0
        turn: AbstractAsyncContextManager[None] = nullcontext()
        while True:
            attempts += 1
            try:
                async with turn:
                    await self.app(scope, body.receive, send_and_note)
            except (StaleDataError, *DATABASE_ERRORS) as error:
                problem = problem_for(error, has_input=_has_input(scope, body))
                if started or problem is None:
                    raise without_values(error) from None
                if body.is_whole and _may_retry(scope, error, attempts):
                    body.rewind()
                    scope.clear()
                    scope.update(untouched)
                    if isinstance(error, StaleDataError):
                        turn = self._turns.setdefault(scope["path"], asyncio.Lock())
                    continue
                await problem(scope, receive, send)
            return


class KeptBody:
    """The body of a request, kept to be received once more.

    Without it a route that reads the body again waits for messages that never come.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._room = MAX_KEPT_BYTES
        self._kept: list[Message] = []
        self._again: Iterator[Message] = iter(())

    @property
    def is_empty(self) -> bool:
        """Whether nothing was received."""
        return self._room == MAX_KEPT_BYTES

    @property
    def is_whole(self) -> bool:
        """Whether all that was received can be received again."""
        return self._room >= 0

    async def receive(self) -> Message:
        """Return the next message: a kept one, or a new one."""
        for message in self._again:
            return message
        message = await self._receive()
        self._room -= len(message.get("body", b""))
        if self.is_whole:
            self._kept.append(message)
        else:
            self._kept.clear()
        return message

    def rewind(self) -> None:
        """Start over with the first message."""
        self._again = iter(self._kept)


def problem_for(error: Exception, *, has_input: bool) -> Problem | None:
    """Return the response to a failure, or None where the service itself is wrong.

    A value that cannot be stored is the client's mistake only where the client sent any.
    """
    if isinstance(error, StaleDataError):
        return Problem(
            HTTPStatus.PRECONDITION_FAILED,
            "The resource was changed concurrently. Fetch it again.",
        )
    state = sqlstate(error)
    # The text of the error would show values, and hashes or tokens among them.
    name = type(driver_error(error)).__name__
    logger.warning("database error: %s %s", name, state)
    if state in CONFLICTS:
        fields = conflicting_fields(error)
        detail = CONFLICTS[state].format(fields=" and ".join(fields) or "value")
        return Problem(HTTPStatus.CONFLICT, detail, fields=fields)
    if has_input and refuses_value(error):
        return Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "The request holds a value that cannot be stored.",
        )
    if isinstance(error, PoolTimeoutError):
        return _unavailable("The service is busy. Try again.")
    if is_transient(error):
        return _unavailable("The database is unavailable. Try again.")
    return None


def _has_input(scope: Scope, body: KeptBody) -> bool:
    """Return whether the client sent a value: a body, or a parameter of the route."""
    if scope["query_string"] or scope.get("path_params") or not body.is_empty:
        return True
    route = scope.get("route")
    declared = set(_headers(route.dependant)) if isinstance(route, APIRoute) else set()
    return any(name in declared for name, _ in scope["headers"])


def _headers(dependant: Dependant) -> Iterator[bytes]:
    """Yield the names of the headers that a route and its dependencies declare."""
    for field in dependant.header_params:
        yield field.alias.replace("_", "-").lower().encode()
    if dependant.cookie_params:
        yield b"cookie"
    for dependency in dependant.dependencies:
        yield from _headers(dependency)


def _unavailable(detail: str) -> Problem:
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail)


def _may_retry(scope: Scope, error: Exception, attempts: int) -> bool:
    """Return whether to retry at once: not after a timeout, which would only double it.

    Whether a write took effect is unknown after its connection was lost, so only reads
    are retried then. A write must be idempotent (RFC 9110, section 9.2.2), or made so by
    the client with a header that is for this.
    """
    if isinstance(error, StaleDataError):
        return attempts < MAX_ATTEMPTS and (b"if-match", b"*") in scope["headers"]
    if attempts > 1:
        return False
    rolled_back = is_outdated(error) or sqlstate(error).startswith("40")
    if scope["method"] in {"GET", "HEAD"}:
        return is_connection_lost(error) or rolled_back
    names = {name for name, _ in scope["headers"]}
    may_repeat = scope["method"] in {"PUT", "DELETE"} or names & REPEATABLE_BY
    return bool(may_repeat) and rolled_back
