"""Database failures, typed where they arise."""

import re
from collections.abc import Iterable
from typing import Any

import asyncpg
from sqlalchemy import ExceptionContext, event
from sqlalchemy.exc import DBAPIError, EmulatedDBAPIException
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine

DRIVER_ERRORS = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
# Classes of SQLSTATE (https://www.postgresql.org/docs/current/errcodes-appendix.html)
# that may succeed when tried again: connection, transaction state (read-only after a
# failover), rollback (deadlock), resources, object in use, operator intervention
# (shutdown, statement timeout), system error.
TRANSIENT = {"08", "25", "40", "53", "55", "57", "58"}
# admin_shutdown, crash_shutdown: PostgreSQL ends the connection. SQLAlchemy reports it as
# invalidated only where it was open before, not where it was being opened.
ENDED = {"57P01", "57P02"}
# Data exceptions and program limits; and, as whole states, CHECK and WITH CHECK OPTION.
REFUSED_VALUES = {"22", "54", "23514", "44000"}


class DatabaseUnavailableError(Exception):
    """PostgreSQL did not respond: its `__cause__` is the error of the network."""


class StatementError(Exception):
    """A statement that failed by a mistake of the service.

    In place of the error of the database, whose text shows values of rows and parameters.
    """


class UnreadableValueError(Exception):
    """A stored time that Python cannot hold, such as a year beyond 9999."""


# Everything that a session, a compiled read or the bare driver raises for a failure of
# the database.
DATABASE_ERRORS = (
    DatabaseUnavailableError,
    PoolTimeoutError,
    DBAPIError,
    *DRIVER_ERRORS,
)


def type_failures(engine: AsyncEngine) -> None:
    """Raise DatabaseUnavailableError where the network fails a statement.

    asyncpg raises the same TimeoutError and OSError as a client of any other server, and
    SQLAlchemy passes them on unchanged. After a change of the schema, which a connection
    may not recover from, the pool replaces its connections as after a lost one.
    """

    @event.listens_for(engine.sync_engine, "handle_error")
    def _(context: ExceptionContext) -> Exception | None:
        error = context.original_exception
        if isinstance(error, OSError):
            return unavailable(error)
        if isinstance(error, ValueError | OverflowError) and context.execution_context:
            columns = context.execution_context.cursor.description or ()
            return unreadable(error, [name for name, *_ in columns])
        if is_outdated(error):
            context.is_disconnect = True
        return None


async def connect(*args: Any, **options: Any) -> asyncpg.Connection:
    """Connect as `asyncpg.connect` does, or raise DatabaseUnavailableError."""
    try:
        return await asyncpg.connect(*args, **options)
    except OSError as error:
        raise unavailable(error) from error


def unavailable(error: OSError) -> DatabaseUnavailableError:
    """Return the typed form of an error of the network; TimeoutError is one."""
    return DatabaseUnavailableError(f"{type(error).__name__}: {error}")


def unreadable(error: Exception, columns: Iterable[str]) -> UnreadableValueError:
    """Return the typed form of the driver's error, which names no column."""
    return UnreadableValueError(f"One of {', '.join(columns)}: {error}")


def driver_error(error: BaseException) -> BaseException:
    """Return the error of asyncpg, or of the network, that another error wraps."""
    if isinstance(error, DatabaseUnavailableError):
        return error.__cause__ or error
    if isinstance(error, DBAPIError):
        error = error.orig or error
    if isinstance(error, EmulatedDBAPIException):
        # SQLAlchemy's InvalidCachedStatementError keeps its origin as the cause only.
        error = error.orig or error.__cause__ or error
    return error


def sqlstate(error: BaseException) -> str:
    """Return the SQLSTATE that PostgreSQL reported, or an empty string."""
    return getattr(driver_error(error), "sqlstate", None) or ""


def is_transient(error: BaseException) -> bool:
    """Return whether the same statement may succeed later."""
    if isinstance(error, DatabaseUnavailableError | PoolTimeoutError):
        return True
    if sqlstate(error)[:2] in TRANSIENT:
        return True
    return is_outdated(error) or is_connection_lost(error)


def is_connection_lost(error: BaseException) -> bool:
    """Return whether the connection broke: a new one may work at once."""
    if isinstance(error, DatabaseUnavailableError):
        return isinstance(error.__cause__, ConnectionError)
    if (state := sqlstate(error)) in ENDED or state.startswith("08"):
        return True
    if isinstance(error, DBAPIError):
        return error.connection_invalidated
    return isinstance(error, asyncpg.InterfaceError | asyncpg.InternalClientError)


def is_outdated(error: BaseException) -> bool:
    """Return whether the schema changed under a connection: a new one works at once."""
    error = driver_error(error)
    # What PostgreSQL reports for a type that was dropped, and perhaps made again: an
    # internal error, whose text it translates into no language.
    if isinstance(error, asyncpg.InternalServerError):
        return "cache lookup failed" in str(error)
    outdated = (asyncpg.InvalidCachedStatementError, asyncpg.OutdatedSchemaCacheError)
    return isinstance(error, outdated)


def refuses_value(error: BaseException) -> bool:
    """Return whether PostgreSQL cannot store a value that the statement was given.

    A client may have sent it, and no validation caught it. Not so where the statement has no
    values, or one of another Python type than its column: validation ensures the types. A
    NULL in a column that is NOT NULL is not such a value either.
    """
    if isinstance(error, DBAPIError) and error.statement and not error.params:
        return False
    state = sqlstate(error)
    return not _mistyped(error) and bool(REFUSED_VALUES & {state, state[:2]})


def without_values(error: Exception) -> Exception:
    """Return the error, or one that names what is wrong where its own text has values."""
    state = sqlstate(error)
    if state[:2] not in {"22", "23", "44"}:
        return error
    driver = driver_error(error)
    names = ("table_name", "column_name", "constraint_name", "data_type_name")
    about = [str(name) for each in names if (name := getattr(driver, each, None))]
    about += [str(driver.__cause__)] if _mistyped(error) else []
    sql = error.statement if isinstance(error, DBAPIError) else None
    parts = (type(driver).__name__, state, *about, sql or "")
    return StatementError(" ".join(parts)).with_traceback(error.__traceback__)


def _mistyped(error: BaseException) -> bool:
    """Return whether a value does not have the Python type that its parameter needs."""
    cause = driver_error(error).__cause__
    return isinstance(cause, TypeError | AttributeError)


def conflicting_fields(error: BaseException) -> list[str]:
    """Return the columns of the violated constraint."""
    # PostgreSQL names the columns, and then the values: "Key (name)=(x) already exists.",
    # or "Schlüssel »(name)=(x)« existiert bereits." where lc_messages is German.
    detail = getattr(driver_error(error), "detail", None) or ""
    key = re.match(r"[^(]*\((\w+(?:, \w+)*)\)=", detail)
    return key[1].split(", ") if key else []
