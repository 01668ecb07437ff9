"""The engine, what a route depends on for the database, and the base class of tables."""

from collections.abc import AsyncGenerator
from typing import Annotated

from fastapi import Depends
from sqlalchemy import MetaData, event
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from sqlalchemy.orm import DeclarativeBase, ORMExecuteState, Session

from app.core.config import settings
from app.core.db.compiled_inserts import AutocommitWriter, Writer
from app.core.db.compiled_reads import Reader
from app.core.db.engines import EngineOptions, make_engine, make_replica_engine
from app.core.db.session_listeners import leaves_reads_alone
from app.core.db.types import TYPE_ANNOTATION_MAP, check_enums


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
    type_annotation_map = TYPE_ANNOTATION_MAP


check_enums(Base.metadata)


options = EngineOptions(
    application_name=settings.APP_TITLE,
    pool_size=settings.DB_POOL_SIZE,
    max_overflow=settings.DB_MAX_OVERFLOW,
    pool_timeout=settings.DB_POOL_TIMEOUT,
    connect_timeout=settings.DB_CONNECT_TIMEOUT,
    statement_timeout=settings.DB_STATEMENT_TIMEOUT,
    lock_timeout=settings.DB_LOCK_TIMEOUT,
    slow_statement=settings.DB_SLOW_STATEMENT,
    pgbouncer=settings.DB_PGBOUNCER,
    hide_parameters=not settings.DEBUG,
)
engine = make_engine(settings.DATABASE_URL, options)

async_session_factory = async_sessionmaker(
    engine,
    class_=AsyncSession,
    expire_on_commit=False,
    # A session used after its request is an error instead of a leaked connection.
    close_resets_only=False,
)


async def get_db() -> AsyncGenerator[AsyncSession]:
    """Yield the session of a request: committed when it returns, rolled back if it raises.

    It connects at its first statement, so a request that is invalid waits for nothing.

    Depend on it through `SessionDep`, never bare: in a dependency of the default scope,
    FastAPI runs the code after the `yield` once the response was sent, too late to tell
    the client that the commit failed.
    """
    session = async_session_factory()
    try:
        yield session
        # Committing and closing a session that did nothing would cost as much as a query.
        if session.in_transaction():
            await session.commit()
    finally:
        if session.in_transaction():
            async with session:
                pass  # Rolls back, also where the request is canceled meanwhile.
        else:
            session.sync_session.close()


SessionDep = Annotated[AsyncSession, Depends(get_db, scope="function")]


# Read-only work connects here, in autocommit.
read_engine = (
    make_replica_engine(settings.DATABASE_READ_URL, options, primary=engine)
    if settings.DATABASE_READ_URL
    else engine
).execution_options(isolation_level="AUTOCOMMIT")


class _ReadSession(Session):
    """Refuses to write: each of its statements is a transaction of its own."""


@event.listens_for(_ReadSession, "before_flush")
def _(session: Session, *_: object) -> None:
    raise RuntimeError("ReadSessionDep cannot write: depend on SessionDep instead.")


@event.listens_for(_ReadSession, "do_orm_execute")
@leaves_reads_alone
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
    """Yield a session that only reads, outside of a transaction: one round trip a query.

    It reads from a replica where DATABASE_READ_URL names one.
    """
    async with read_session_factory() as session:
        yield session
        await session.flush()  # Refuses pending changes, which would be lost.


ReadSessionDep = Annotated[AsyncSession, Depends(get_read_db, scope="function")]

reader = Reader(
    read_engine,
    slow_statement=settings.DB_SLOW_STATEMENT,
    session_class=_ReadSession,
)


async def get_reader() -> Reader:
    """Return what runs compiled reads; depend on it through `ReaderDep`."""
    return reader


ReaderDep = Annotated[Reader, Depends(get_reader)]

writer = AutocommitWriter(engine, slow_statement=settings.DB_SLOW_STATEMENT)


async def get_writer() -> Writer:
    """Return what runs compiled inserts; depend on it through `WriterDep`."""
    return writer


WriterDep = Annotated[Writer, Depends(get_writer)]
