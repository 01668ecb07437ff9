"""The migrations, from the first to the newest and back."""

import asyncio

import pytest
from alembic.command import check, downgrade, upgrade
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from app.core.database import engine
from app.core.db.autogenerate import unmanaged_tables
from app.core.db.failures import driver_error
from tests.conftest import ALEMBIC

WHAT_TO_DO = (
    "The log names it last. If a later revision has dropped what it needs, let the "
    "downgrade of that one recreate it, as in the revisions that Alembic generates."
)
TABLES = text("""
    SELECT schemaname, tablename FROM pg_tables
    WHERE schemaname NOT IN ('information_schema', 'pg_catalog')
""")


async def tables() -> set[str]:
    """Return the tables of all schemas, except partitions and tables of extensions."""

    def names(connection: Connection) -> set[str]:
        default = connection.dialect.default_schema_name
        return {
            name if schema == default else f"{schema}.{name}"
            for schema, name in connection.execute(TABLES)
        } - unmanaged_tables(connection)

    async with engine.connect() as connection:
        return await connection.run_sync(names)


async def test_the_models_match_the_migrations() -> None:
    await asyncio.to_thread(check, ALEMBIC)


async def test_every_migration_can_be_undone_and_done_again() -> None:
    before = await tables()

    try:
        await asyncio.to_thread(downgrade, ALEMBIC, "base")
    except DBAPIError as error:
        reason = f"A revision cannot be undone: {driver_error(error)}. {WHAT_TO_DO}"
        pytest.fail(reason, pytrace=False)
    assert await tables() <= {"alembic_version"}

    await asyncio.to_thread(upgrade, ALEMBIC, "head")
    assert await tables() == before
