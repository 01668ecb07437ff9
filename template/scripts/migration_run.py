"""Runs revisions in a new, empty database, and records what they do to tables."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Generator, Iterable
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from traceback import walk_stack, walk_tb
from types import FrameType
from typing import Any

import asyncpg
from alembic.command import upgrade
from alembic.config import Config
from alembic.script import Script
from alembic.util import to_tuple
from sqlalchemy import URL, Connection, Engine, NullPool, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from app.core.config import settings

ALEMBIC = Config(Path(__file__).parents[1] / "alembic.ini")
# Records each command that rewrites a table, or that scans one while it holds a lock that
# blocks reads or writes. Tables that the revision itself creates do not count: no request
# uses them yet. PostgreSQL rewrites and scans empty tables too.
WATCH = """
    CREATE SCHEMA lint;
    CREATE TABLE lint.watched (relation oid PRIMARY KEY);
    CREATE TABLE lint.effect (command text, relation text, lock text);

    CREATE VIEW lint.scans AS
    SELECT relid AS relation, seq_scan + coalesce(idx_scan, 0) AS scans
    FROM pg_stat_xact_all_tables JOIN lint.watched ON relation = relid;

    -- Kept in a setting: DROP INDEX CONCURRENTLY cannot run after a write.
    CREATE FUNCTION lint.before_command() RETURNS event_trigger
    LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
        PERFORM set_config(
            'lint.scans', coalesce(json_object_agg(relation, scans), '{}')::text, false
        ) FROM lint.scans;
    END $$;

    CREATE FUNCTION lint.on_rewrite() RETURNS event_trigger
    LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
        INSERT INTO lint.effect
        SELECT current_query(), relation::regclass FROM lint.watched
        WHERE relation = pg_event_trigger_table_rewrite_oid();
    END $$;

    CREATE FUNCTION lint.after_command() RETURNS event_trigger
    LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
        INSERT INTO lint.effect
        SELECT current_query(), relation::regclass, min(mode)
        FROM lint.scans JOIN pg_locks USING (relation)
        WHERE scans > (current_setting('lint.scans')::json ->> relation::text)::bigint
            AND pid = pg_backend_pid()
            AND mode IN ('AccessExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock')
        GROUP BY relation;
    END $$;

    CREATE EVENT TRIGGER before_command ON ddl_command_start
        EXECUTE FUNCTION lint.before_command();
    CREATE EVENT TRIGGER on_rewrite ON table_rewrite
        EXECUTE FUNCTION lint.on_rewrite();
    CREATE EVENT TRIGGER after_command ON ddl_command_end
        EXECUTE FUNCTION lint.after_command();
"""
WATCH_TABLES = """
    TRUNCATE lint.watched, lint.effect;
    INSERT INTO lint.watched SELECT oid FROM pg_class
    WHERE relkind IN ('r', 'm') AND relnamespace::regnamespace::text
        NOT IN ('pg_catalog', 'information_schema', 'lint');
"""
# To rewrite a table, PostgreSQL scans it too.
EFFECTS = """
    SELECT DISTINCT ON (command, relation) command, relation, lock FROM lint.effect
    ORDER BY command, relation, lock NULLS FIRST
"""


@dataclass(frozen=True)
class Statement:
    """A statement, and the line of the revision that executed it."""

    sql: str
    line: int
    in_transaction: bool


@dataclass(frozen=True)
class Effect:
    """A table that a statement rewrote or, if there is a lock, scanned under that lock."""

    statement: Statement
    table: str
    lock: str | None


@dataclass
class Run:
    """What a revision executed and caused, and the error that stopped it."""

    statements: list[Statement] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    error: Exception | None = None
    error_line: int = 1


@contextmanager
def empty_database() -> Generator[None]:
    """Point the migrations to a new database on the configured server, then drop it.

    Raises SystemExit if the database cannot be created or watched.
    """
    url = settings.DATABASE_URL
    name = f"lint_{uuid.uuid4().hex}"
    try:
        asyncio.run(_execute(url, f"CREATE DATABASE {name}"))
        settings.DATABASE_URL = url.set(database=name)
        asyncio.run(_execute(_watching(settings.DATABASE_URL), WATCH))
        yield
    except (OSError, DBAPIError, asyncpg.PostgresError) as error:
        raise SystemExit(
            f"Cannot run the revisions in a new database as a superuser: {error}. "
            "Unset DATABASE_URL to use the local PostgreSQL."
        ) from None
    finally:
        settings.DATABASE_URL = url
        with suppress(OSError, DBAPIError):  # No server to drop it from.
            asyncio.run(_execute(url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))


def run(revision: Script) -> Run:
    """Run a revision, and the revisions before it that have not run."""
    result = Run()
    try:
        for before in to_tuple(revision.down_revision, default=()):
            upgrade(ALEMBIC, before)
        asyncio.run(_execute(_watching(settings.DATABASE_URL), WATCH_TABLES))
        with _recording(revision, result.statements):
            upgrade(ALEMBIC, revision.revision)
    except Exception as error:  # noqa: BLE001 - A revision may raise anything.
        frames = reversed([*walk_tb(error.__traceback__)])
        result.error, result.error_line = error, _line(revision, frames) or 1
    result.effects = asyncio.run(_effects(result.statements))
    return result


@contextmanager
def _recording(revision: Script, statements: list[Statement]) -> Generator[None]:
    def record(connection: Connection, _: object, sql: str, *__: object) -> None:
        if line := _line(revision, walk_stack(None)):
            options = connection.get_execution_options()
            in_transaction = options.get("isolation_level") != "AUTOCOMMIT"
            statements.append(Statement(sql, line, in_transaction))

    event.listen(Engine, "before_cursor_execute", record)
    try:
        yield
    finally:
        event.remove(Engine, "before_cursor_execute", record)


def _line(revision: Script, frames: Iterable[tuple[FrameType, int]]) -> int | None:
    """Return the line number of the first frame in the revision, if any."""
    lines = (line for each, line in frames if each.f_code.co_filename == revision.path)
    return next(lines, None)


def _watching(url: URL) -> URL:
    """Return the URL for watching: on the local PostgreSQL, that of its superuser."""
    host = str(url.query.get("host"))
    if not host.startswith("/"):
        return url
    # Imported here because the module does not run on Windows.
    from app.core.db.local_postgres import SUPERUSER, sockets_of

    return url.set(username=SUPERUSER) if host == str(sockets_of()) else url


async def _execute(url: URL, script: str) -> None:
    async with _connect(url) as connection:
        await connection.execute(script)


async def _effects(statements: list[Statement]) -> list[Effect]:
    by_sql = {statement.sql: statement for statement in statements}
    async with _connect(_watching(settings.DATABASE_URL)) as connection:
        return [
            Effect(by_sql[command], relation, lock)
            for command, relation, lock in await connection.fetch(EFFECTS)
            if command in by_sql
        ]


@asynccontextmanager
async def _connect(url: URL) -> AsyncGenerator[Any]:
    engine = create_async_engine(url, poolclass=NullPool)
    async with engine.connect() as connection:
        yield (await connection.get_raw_connection()).driver_connection
