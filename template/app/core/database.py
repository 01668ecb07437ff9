"""The engine, the sessions of a request, and the base class of the tables."""

from collections.abc import AsyncGenerator
from typing import Annotated, Any

from fastapi import Depends
from sqlalchemy import URL, MetaData, event
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import DeclarativeBase, ORMExecuteState, Session

from app.core.config import settings
from app.core.pool import Turns, replace_dead_connections
from app.core.replica import ReplicaOrPrimary
from app.core.slow_statements import log_slow_statements


class Base(DeclarativeBase):
    """The base class of every table."""

    # Names the constraints, so that a migration can refer to them.
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


def _connect_args(*, pgbouncer: bool, **server_settings: str) -> dict[str, Any]:
    if pgbouncer:
        # In transaction mode the next statement may meet another server connection:
        # no named statements, and timeouts come from ALTER ROLE.
        return {"timeout": settings.DB_CONNECT_TIMEOUT, "statement_cache_size": 0}
    statement_timeout = int(settings.DB_STATEMENT_TIMEOUT * 1000)
    return {
        "timeout": settings.DB_CONNECT_TIMEOUT,
        # Later than the server's own timeout, for a server that no longer answers.
        "command_timeout": settings.DB_STATEMENT_TIMEOUT + 1,
        "server_settings": {
            "application_name": settings.APP_TITLE,
            # A query whose client has gone ends too, within a second.
            "client_connection_check_interval": "1000",
            "statement_timeout": str(statement_timeout),
            "lock_timeout": str(int(settings.DB_LOCK_TIMEOUT * 1000)),
            "idle_in_transaction_session_timeout": str(2 * statement_timeout),
            **server_settings,
        },
    }


def _create_engine(url: URL, connect_args: dict[str, Any]) -> AsyncEngine:
    engine = create_async_engine(
        url,
        hide_parameters=not settings.DEBUG,
        pool_size=settings.DB_POOL_SIZE,
        max_overflow=settings.DB_MAX_OVERFLOW,
        pool_timeout=settings.DB_POOL_TIMEOUT,
        connect_args=connect_args,
    )
    replace_dead_connections(engine)
    log_slow_statements(engine)
    return engine


engine = _create_engine(
    settings.DATABASE_URL, _connect_args(pgbouncer=settings.DB_PGBOUNCER)
)
turns = Turns(
    settings.DB_POOL_SIZE + settings.DB_MAX_OVERFLOW, settings.DB_POOL_TIMEOUT
)

async_session_factory = async_sessionmaker(
    engine,
    class_=AsyncSession,
    expire_on_commit=False,
    # A session used after its request is an error instead of a leaked connection.
    close_resets_only=False,
)


async def get_db() -> AsyncGenerator[AsyncSession]:
    """Yield the session of a request: committed when it returns, rolled back if it raises.

    Depend on it through `SessionDep`, never bare: FastAPI runs what follows the `yield`
    of a dependency of the default scope after the response, so a commit that fails could
    no longer be told to the client.
    """
    async with turns, async_session_factory() as session:
        yield session
        await session.commit()


SessionDep = Annotated[AsyncSession, Depends(get_db, scope="function")]


def replica_engine(url: URL) -> AsyncEngine:
    """Return an engine for a replica, whose connections refuse to write.

    While the replica is lost they lead to the primary. There they refuse to write too,
    unless through a PgBouncer, which takes no settings from its clients.
    """
    read_only = {"default_transaction_read_only": "on"}
    _, primary = engine.dialect.create_connect_args(settings.DATABASE_URL)
    # An option of SQLAlchemy that people put into the URL, and not one of the driver.
    primary.pop("prepared_statement_cache_size", None)
    primary.update(_connect_args(pgbouncer=settings.DB_PGBOUNCER, **read_only))
    either = ReplicaOrPrimary(dict(primary))
    connect_args = _connect_args(pgbouncer=False, **read_only)
    replica = _create_engine(url, {**connect_args, "async_creator_fn": either.connect})
    either.watch(replica)

    @event.listens_for(engine.sync_engine, "engine_disposed")
    def _(_: object) -> None:
        replica.sync_engine.dispose()

    return replica


# What only reads takes its connections from here, and each of its statements is a
# transaction of its own.
read_engine = (
    replica_engine(settings.DATABASE_READ_URL) if settings.DATABASE_READ_URL else engine
).execution_options(isolation_level="AUTOCOMMIT")


class _ReadSession(Session):
    """Refuses to write, because each of its statements is a transaction of its own."""


@event.listens_for(_ReadSession, "before_flush")
def _(session: Session, *_: object) -> None:
    raise RuntimeError("ReadSessionDep cannot write: depend on SessionDep instead.")


@event.listens_for(_ReadSession, "do_orm_execute")
def _(state: ORMExecuteState) -> None:
    if state.is_insert or state.is_update or state.is_delete:
        raise RuntimeError("ReadSessionDep cannot write: depend on SessionDep instead.")


read_session_factory = async_sessionmaker(
    read_engine,
    class_=AsyncSession,
    sync_session_class=_ReadSession,
    expire_on_commit=False,
    close_resets_only=False,
)


async def get_read_db() -> AsyncGenerator[AsyncSession]:
    """Yield a session for reading: without a transaction, a query is one round trip.

    It reads from a replica where DATABASE_READ_URL names one.
    """
    async with turns, read_session_factory() as session:
        yield session
        await session.flush()  # Refuses what was added or changed, and would be lost.


ReadSessionDep = Annotated[AsyncSession, Depends(get_read_db, scope="function")]
