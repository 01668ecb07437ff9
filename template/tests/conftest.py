"""A database for the tests alone, and clients of the application that works on it."""

import asyncio
import hashlib
import warnings
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from alembic.command import upgrade
from alembic.config import Config
from alembic.util import CommandError
from fastapi import FastAPI
from httpx2 import ASGITransport, AsyncClient
from sqlalchemy import NullPool, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, create_async_engine
from starlette.types import Receive, Scope, Send

from app import models
from app.core.config import settings
from app.core.database import (
    async_session_factory,
    engine,
    read_engine,
    read_session_factory,
    reader,
)
from app.core.db.autogenerate import is_ignored
from app.core.db.failures import driver_error
from app.main import app

ALEMBIC = Config(Path(__file__).parents[1] / "alembic.ini")


@pytest.hookimpl(tryfirst=True)
def pytest_configure() -> None:
    """Let pytest-asyncio be installed too: it warns of a default that it may change.

    That would end the run, as warnings are errors, and its option is unknown without it.
    """
    warnings.filterwarnings("ignore", "The configuration option .asyncio_default_")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
async def database(
    anyio_backend: str, request: pytest.FixtureRequest
) -> AsyncGenerator[None]:
    """Send all of the application's connections to a new, migrated database.

    It stands beside the configured one, which stays untouched. Its number is the first
    that no other run of tests holds, so that any number of them can run at once.
    """
    url = settings.DATABASE_URL
    server = create_async_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    connection = server.connect()
    try:
        await connection.start()
    except (OSError, TypeError, DBAPIError) as error:
        reason = driver_error(error)
        raise failed(
            request.session, f"The database {url!r} cannot be used: {reason}"
        ) from None
    async with aclosing(connection):
        name = await _claim(connection, _prefix(url.database))
        await connection.execute(text(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))
        await connection.execute(text(f'CREATE DATABASE "{name}"'))

        settings.DATABASE_URL = url.set(database=name)
        _, target = engine.dialect.create_connect_args(settings.DATABASE_URL)

        def connect_there(_: Any, __: Any, ___: Any, options: dict[str, Any]) -> None:
            for part in ("host", "port", "user", "password"):
                options.pop(part, None)
            options.update(target)

        # Nor is a replica asked: the tests read what they have just written.
        for each in (engine, read_engine):
            event.listen(each.sync_engine, "do_connect", connect_there)
        try:
            await asyncio.to_thread(upgrade, ALEMBIC, "head")
        except CommandError as error:
            raise failed(request.session, str(error)) from None
        yield
        await engine.dispose()
        await connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))


def failed(session: pytest.Session, reason: str) -> BaseException:
    """End the run with a sentence: otherwise each test would fail with a traceback."""
    session.shouldfail = reason
    return pytest.fail.Exception(reason, pytrace=False)


def _prefix(database: str | None) -> str:
    # PostgreSQL cuts names off after 63 bytes, and then two runs could have the same.
    if database and len(database.encode()) > 48:
        return f"test_{hashlib.sha256(database.encode()).hexdigest()[:32]}"
    return f"{database}_test"


async def _claim(connection: AsyncConnection, prefix: str) -> str:
    claim = text("SELECT pg_try_advisory_lock(hashtext(:name))")
    numbers = count()
    name = f"{prefix}_{next(numbers)}"
    while not await connection.scalar(claim, {"name": name}):
        name = f"{prefix}_{next(numbers)}"
    return name


@pytest.fixture
async def connection() -> AsyncGenerator[AsyncConnection]:
    """Run all that a test does in one transaction, and roll it back.

    The application's own commits release savepoints in it. Inside, now() stands still
    and deferred constraints are never checked: for these there is `committing_client`.
    """
    async with engine.connect() as connection:
        transaction = await connection.begin()
        factories = (async_session_factory, read_session_factory)
        binds = [factory.kw["bind"] for factory in factories]
        for factory in factories:
            factory.configure(bind=connection, join_transaction_mode="create_savepoint")
        reader.bind = connection
        yield connection
        reader.bind = read_engine
        for factory, bind in zip(factories, binds, strict=True):
            factory.configure(bind=bind, join_transaction_mode="conditional_savepoint")
        await transaction.rollback()


@pytest.fixture
async def client(connection: AsyncConnection) -> AsyncGenerator[AsyncClient]:
    """A client whose requests are rolled back after the test."""
    async with client_of(app) as client:
        yield client


@pytest.fixture
async def committing_client() -> AsyncGenerator[AsyncClient]:
    """A client whose requests really commit, each on a connection of its own."""
    async with client_of(app) as client:
        yield client
    ignored = getattr(models, "IGNORED_TABLES", ())
    quoted = [
        engine.dialect.identifier_preparer.format_table(table)
        for table in models.Base.metadata.sorted_tables
        if not is_ignored(table.fullname, ignored)
    ]
    if quoted:
        async with engine.begin() as connection:
            await connection.execute(text(f"TRUNCATE {', '.join(quoted)}"))


@asynccontextmanager
async def client_of(app: FastAPI) -> AsyncGenerator[AsyncClient]:
    """Start an application, also one that a test makes for itself, and give a client.

    The application stops at the end. Its requests have the state that its lifespan yields.
    """
    async with running(app) as state:

        async def with_state(scope: Scope, receive: Receive, send: Send) -> None:
            await app({**scope, "state": {**state}}, receive, send)

        transport = ASGITransport(with_state)
        async with AsyncClient(transport=transport, base_url="http://test") as client:
            yield client


@asynccontextmanager
async def running(app: FastAPI) -> AsyncGenerator[Mapping[str, Any]]:
    """Run the lifespan of an application, and give the state for its requests."""
    with pytest.MonkeyPatch.context() as patch:
        # It would close the connections, which all tests share.
        patch.setattr(engine.sync_engine, "dispose", lambda *_, **__: None)
        async with app.router.lifespan_context(app) as state:
            yield state or {}


@pytest.fixture
async def session(connection: AsyncConnection) -> AsyncGenerator[AsyncSession]:
    """A session in the test's transaction, to prepare rows and to look at them."""
    async with async_session_factory() as session:
        yield session
