"""The migrations, from the first to the newest and back."""

import asyncio

from alembic.command import check, downgrade, upgrade
from sqlalchemy import inspect

from app.core.database import engine
from tests.conftest import ALEMBIC


async def tables() -> set[str]:
    async with engine.connect() as connection:
        return await connection.run_sync(
            lambda sync: set(inspect(sync).get_table_names())
        )


async def test_the_models_are_what_the_migrations_make() -> None:
    await asyncio.to_thread(check, ALEMBIC)


async def test_every_migration_can_be_undone_and_done_again() -> None:
    before = await tables()

    await asyncio.to_thread(downgrade, ALEMBIC, "base")
    assert await tables() <= {"alembic_version"}

    await asyncio.to_thread(upgrade, ALEMBIC, "head")
    assert await tables() == before
