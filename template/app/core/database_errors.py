"""What the trouble that PostgreSQL reports means to a client."""

import logging
import re
import socket
from http import HTTPStatus
from traceback import walk_tb

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.problems import Problem

logger = logging.getLogger(__name__)

UNREACHABLE = (ConnectionError, TimeoutError, socket.gaierror)
DRIVER = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
# Classes of SQLSTATE (https://www.postgresql.org/docs/current/errcodes-appendix.html)
# for what may well succeed when it is tried again: connection, transaction state
# (read-only after a failover), rollback (deadlock), resources, object in use, operator
# intervention (shutdown, statement timeout), system error.
TRANSIENT = {"08", "25", "40", "53", "55", "57", "58"}
# A longer body is not kept, and its request not tried again.
MAX_KEPT_BYTES = 1_000_000
REPEATABLE_BY = {b"idempotency-key", b"if-match"}
CONFLICTS = {
    asyncpg.UniqueViolationError: "There is one with the same {fields} already.",
    asyncpg.ForeignKeyViolationError: "What {fields} refers to is not there, or in use.",
    asyncpg.ExclusionViolationError: "It collides with another one in {fields}.",
}


class DatabaseErrors:
    """Answers the trouble of the database, and tries once more before where that is safe.

    Innermost of the middleware, around the routes: a commit belongs to a route. One more
    try keeps a restart of PostgreSQL, or a connection killed in use, from readers; and a
    transaction that PostgreSQL rolled back for the sake of another (a deadlock, a
    serialization failure) from those who write what may be repeated.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def send_and_know(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        body = Body(receive)
        untouched = dict(scope)
        has_retried = False
        while True:
            try:
                await self.app(scope, body.receive, send_and_know)
            except (PoolTimeoutError, DBAPIError, *UNREACHABLE, *DRIVER) as error:
                problem = problem_of(error)
                if started or problem is None:
                    raise
                if not has_retried and body.is_kept and _may_retry(scope, error):
                    has_retried = True
                    body.rewind()
                    scope.clear()
                    scope.update(untouched)
                    continue
                await problem(scope, receive, send)
            return


class Body:
    """The messages that make the body of a request, to be received more than once."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._messages: list[Message] = []
        self._position = 0
        self._bytes = 0

    @property
    def is_kept(self) -> bool:
        """Whether all that was received can be received again."""
        return self._bytes <= MAX_KEPT_BYTES

    async def receive(self) -> Message:
        """Return the next message: one from before, or a new one."""
        if self._position < len(self._messages):
            message = self._messages[self._position]
        else:
            message = await self._receive()
            self._bytes += len(message.get("body", b""))
            if not self.is_kept:
                self._messages.clear()
                return message
            self._messages.append(message)
        self._position += 1
        return message

    def rewind(self) -> None:
        """Begin again with the first message."""
        self._position = 0


def problem_of(error: Exception) -> Problem | None:
    """Return what to tell the client, or None for what is not the database's trouble."""
    if isinstance(error, UNREACHABLE) and not _comes_from_driver(error):
        return None
    driver_error = error.driver_exception if isinstance(error, DBAPIError) else error
    state = getattr(driver_error, "sqlstate", None) or ""
    # The text of the error would show values, and hashes or tokens among them.
    logger.warning("database error: %s %s", type(driver_error).__name__, state)
    for conflict, detail in CONFLICTS.items():
        if isinstance(driver_error, conflict):
            return _conflict(driver_error, detail)
    if state[:2] in {"22", "23"}:
        return Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "The request holds a value that cannot be stored.",
        )
    if state[:2] in TRANSIENT or not state and not isinstance(error, DBAPIError):
        return _unavailable()
    return _unavailable() if _lost_connection(error) else None


def _comes_from_driver(error: BaseException) -> bool:
    """Return whether it is PostgreSQL, and not another server, that cannot be reached."""
    frames = (frame.f_globals for frame, _ in walk_tb(error.__traceback__))
    modules = (names.get("__name__", "").partition(".")[0] for names in frames)
    return not {"asyncpg", "sqlalchemy"}.isdisjoint(modules)


def _unavailable() -> Problem:
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE, "The database does not answer. Try again."
    )


def _may_retry(scope: Scope, error: Exception) -> bool:
    """Return whether to try at once: not after a timeout, which would only double it.

    What a lost connection leaves of a write is unknown, so only reads are tried again
    then. A write has to be idempotent (RFC 9110, section 9.2.2), or made so by the
    client with a header that is for this.
    """
    is_read = scope["method"] in {"GET", "HEAD"}
    state = getattr(getattr(error, "driver_exception", None), "sqlstate", None) or ""
    if not state.startswith("40"):
        return is_read and _lost_connection(error)
    names = {name for name, _ in scope["headers"]}
    is_idempotent = scope["method"] in {"PUT", "DELETE"}
    return is_read or is_idempotent or not names.isdisjoint(REPEATABLE_BY)


def _lost_connection(error: Exception) -> bool:
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or isinstance(
            error.driver_exception,
            (asyncpg.InterfaceError, asyncpg.InternalClientError),
        )
    return isinstance(error, (ConnectionError, *DRIVER))


def _conflict(error: asyncpg.PostgresError, detail: str) -> Problem:
    # PostgreSQL names the columns, and then the values: "Key (name)=(x) already exists."
    key = re.match(r"Key \((\w+(?:, \w+)*)\)=", getattr(error, "detail", None) or "")
    fields = key[1].split(", ") if key else []
    named = detail.format(fields=" and ".join(fields) or "value")
    return Problem(HTTPStatus.CONFLICT, named, fields=fields)
