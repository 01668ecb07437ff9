"""Engines for PostgreSQL: their pool, timeouts and failures."""

from dataclasses import dataclass
from typing import Any

import asyncpg
from sqlalchemy import URL, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.core.db.dialect import ExactCompiler
from app.core.db.failures import connect, type_failures
from app.core.db.pool import FairPool, replace_dead_connections
from app.core.db.replica import ReplicaFallback
from app.core.db.slow_statements import log_slow_statements
from app.core.db.types import to_json

# In `created_at >= day` and `date_trunc`, a day begins at midnight in this time zone. A
# server or a role may have another one.
UTC = {"timezone": "UTC"}


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """The pool and the timeouts of an engine; times are in seconds."""

    application_name: str
    pool_size: int
    max_overflow: int
    pool_timeout: float
    connect_timeout: float
    statement_timeout: float
    lock_timeout: float
    slow_statement: float
    pgbouncer: bool
    hide_parameters: bool
    connection_class: type[asyncpg.Connection] = asyncpg.Connection
    pool_class: type[FairPool] = FairPool

    def connect_args(self, *, pgbouncer: bool, read_only: bool) -> dict[str, Any]:
        """Return what SQLAlchemy connects with, beside the URL."""
        always = {
            "timeout": self.connect_timeout,
            "connection_class": self.connection_class,
        }
        if pgbouncer:
            # In transaction mode the next statement may reach another server connection:
            # no prepared statement is kept, and timeouts come from ALTER ROLE. PgBouncer
            # takes the time zone along.
            return {
                **always,
                "statement_cache_size": 0,
                "prepared_statement_cache_size": 0,
                "server_settings": UTC,
            }
        statement_timeout = int(self.statement_timeout * 1000)
        return {
            **always,
            # Later than the server's own timeout, for a server that stopped responding.
            "command_timeout": self.statement_timeout + 1,
            "server_settings": {
                **UTC,
                "application_name": self.application_name,
                # A query whose client has disconnected ends too, within a second.
                "client_connection_check_interval": "1000",
                "statement_timeout": str(statement_timeout),
                "lock_timeout": str(int(self.lock_timeout * 1000)),
                "idle_in_transaction_session_timeout": str(2 * statement_timeout),
                **({"default_transaction_read_only": "on"} if read_only else {}),
            },
        }


def make_engine(url: URL, options: EngineOptions) -> AsyncEngine:
    """Return an engine; it connects when a statement first needs it to."""
    arguments = options.connect_args(pgbouncer=options.pgbouncer, read_only=False)
    return _make_engine(
        url, options, arguments | {"async_creator_fn": connect}, name="primary"
    )


def make_replica_engine(
    url: URL, options: EngineOptions, *, primary: AsyncEngine
) -> AsyncEngine:
    """Return an engine for a replica, whose connections refuse to write.

    While the replica is lost, they lead to the primary. They refuse to write there too,
    except through a PgBouncer, which accepts no settings from its clients. Disposing of
    the primary's engine disposes of this one.
    """
    _, target = primary.dialect.create_connect_args(primary.url)
    arguments = options.connect_args(pgbouncer=options.pgbouncer, read_only=True)
    at_primary = {**target, **arguments}
    # SQLAlchemy's own option, which asyncpg does not know.
    at_primary.pop("prepared_statement_cache_size", None)
    fallback = ReplicaFallback(primary=at_primary)
    arguments = options.connect_args(pgbouncer=False, read_only=True)
    replica = _make_engine(
        url, options, arguments | {"async_creator_fn": fallback.connect}, name="replica"
    )
    fallback.watch(replica)

    @event.listens_for(primary.sync_engine, "engine_disposed")
    def _(_: object) -> None:
        replica.sync_engine.dispose()

    return replica


def _make_engine(
    url: URL, options: EngineOptions, connect_args: dict[str, Any], *, name: str
) -> AsyncEngine:
    engine = create_async_engine(
        url,
        hide_parameters=options.hide_parameters,
        poolclass=options.pool_class,
        pool_logging_name=name,
        pool_size=options.pool_size,
        max_overflow=options.max_overflow,
        pool_timeout=options.pool_timeout,
        connect_args=connect_args,
        json_serializer=to_json,
    )
    engine.dialect.statement_compiler = ExactCompiler
    replace_dead_connections(engine)
    log_slow_statements(engine, options.slow_statement)
    type_failures(engine)
    return engine
