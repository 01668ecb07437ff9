"""Runs the migrations: one process at a time, however many are started at once."""

import asyncio
import logging
import time
import warnings
from collections.abc import Generator
from contextlib import aclosing, contextmanager, suppress
from typing import Any

from alembic import context
from alembic.script.revision import MultipleHeads, ResolutionError
from alembic.util import CommandError
from sqlalchemy import Connection, NullPool, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from app import models
from app.core.config import settings
from app.core.db import autogenerate
from app.core.db.failures import driver_error, sqlstate
from app.core.logging import configure_logging

logger = logging.getLogger("alembic.env")

LOCK_KEY = 7_251_838_104
LOCK_TIMEOUT_SECONDS = 600


@contextmanager
def migration_lock(connection: Connection) -> Generator[None]:
    """Wait until no other process migrates this database.

    Asks again and again rather than waiting inside PostgreSQL: a session that waits
    there holds a snapshot, and CREATE INDEX CONCURRENTLY waits for it in turn.
    """
    deadline = time.monotonic() + LOCK_TIMEOUT_SECONDS
    key = {"key": LOCK_KEY}
    while not connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), key):
        connection.commit()
        if time.monotonic() > deadline:
            raise TimeoutError("Another process still migrates this database.")
        time.sleep(0.2)
    # Or Alembic would join this transaction, and never commit its own work.
    connection.commit()
    try:
        yield
    finally:
        connection.rollback()
        connection.execute(text("SELECT pg_advisory_unlock(:key)"), key)
        connection.commit()


def configure(connection: Connection | None = None, **target: Any) -> None:
    metadata = models.Base.metadata
    ignored = getattr(models, "IGNORED_TABLES", ())
    context.configure(
        connection=connection,
        **target,
        target_metadata=metadata,
        # A migration that fails leaves the ones before it applied.
        transaction_per_migration=True,
        include_schemas=True,
        **autogenerate.table_filters(metadata, ignored, connection),
        process_revision_directives=autogenerate.create_schemas,
        # Those that Alembic turns on by itself leave CHECK constraints out.
        autogenerate_plugins=[
            "alembic.autogenerate.*",
            "alembic.ext.checkconstraint_byname",
            autogenerate.PLUGIN,
        ],
    )


def limit_waiting(connection: Connection) -> None:
    """Wait less for a lock than requests do: all later requests wait behind it."""
    connection.exec_driver_sql("SET LOCAL lock_timeout = '1s'")


def limit_waiting_in_autocommit(
    connection: Connection, cursor: Any, statement: str, *_: Any
) -> None:
    """Set the same limit in an autocommit block, except for CONCURRENTLY.

    Such a statement has to wait for other transactions, and no request waits behind it.
    """
    if connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT":
        limit = "0" if "CONCURRENTLY" in statement.upper() else "1s"
        cursor.execute(f"SET lock_timeout = '{limit}'")


def run_migrations() -> None:
    """Run the migrations, and retry the one that did not get its lock in time.

    During the pause, PostgreSQL serves the requests that waited behind it.
    """
    deadline = time.monotonic() + LOCK_TIMEOUT_SECONDS
    while True:
        try:
            with context.begin_transaction():
                context.run_migrations()
            return
        except DBAPIError as error:
            # lock_not_available (the timeout above) and deadlock_detected
            is_lock = sqlstate(error) in {"55P03", "40P01"}
            if not is_lock or time.monotonic() > deadline:
                raise
        logger.warning("Did not get a lock on a table: retrying in two seconds.")
        time.sleep(2)


def migrate(connection: Connection) -> None:
    configure(connection=connection)
    event.listen(connection, "begin", limit_waiting)
    event.listen(connection, "before_cursor_execute", limit_waiting_in_autocommit)
    with migration_lock(connection):
        run_migrations()


async def migrate_online() -> None:
    # The role's timeouts are for requests, and its time zone would shift a timestamp that
    # becomes a timestamptz. A PgBouncer refuses these.
    unlimited = {"statement_timeout": "0", "lock_timeout": "0", "timezone": "UTC"}
    engine = create_async_engine(
        settings.DATABASE_URL,
        poolclass=NullPool,
        connect_args={} if settings.DB_PGBOUNCER else {"server_settings": unlimited},
    )
    connection = engine.connect()
    try:
        await connection.start()
    except (OSError, TypeError, DBAPIError) as error:
        raise CommandError(
            f"The database {settings.DATABASE_URL!r} cannot be used: "
            f"{driver_error(error)}"
        ) from None
    async with aclosing(connection):
        await connection.run_sync(migrate)


@contextmanager
def explain_errors() -> Generator[None]:
    """Let errors about the revisions say what to do, each in one sentence."""
    try:
        with warnings.catch_warnings(action="error", category=UserWarning):
            context.script.get_heads()
        yield
    except UserWarning as warning:
        raise CommandError(f"alembic/versions is inconsistent: {warning}") from None
    except KeyboardInterrupt:
        raise CommandError(
            "Interrupted: revisions that were complete stay applied"
        ) from None
    except CommandError as error:
        heads = context.script.get_heads()
        # `check` and `revision --autogenerate` report several heads in this way.
        is_outdated = str(error) == "Target database is not up to date."
        is_ambiguous = isinstance(error.__cause__, MultipleHeads)
        if is_ambiguous or (is_outdated and len(heads) > 1):
            raise CommandError(
                f"There are several heads, {', '.join(heads)}: join them "
                'with `uv run alembic merge heads -m "…"`'
            ) from None
        if isinstance(error.__cause__, ResolutionError):
            raise CommandError(
                f"{error}, which is not in alembic/versions: if another branch migrated "
                "the database, switch to that branch and downgrade there first"
            ) from None
        raise


def run_online() -> None:
    with suppress(RuntimeError):
        asyncio.get_running_loop()
        raise CommandError(
            "Alembic cannot run inside a running event loop: call it in a thread, "
            'as in `await asyncio.to_thread(upgrade, config, "head")`'
        )
    asyncio.run(migrate_online())


configure_logging()

with explain_errors():
    if context.is_offline_mode():
        configure(url=settings.DATABASE_URL, literal_binds=True)
        with context.begin_transaction():
            context.run_migrations()
    else:
        run_online()
