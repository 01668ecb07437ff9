"""The tables of the jobs, and the revisions that make them."""

import shutil
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.core.db import job_tables

ROOT = Path(__file__).parents[2]
DONE = text("SELECT obj_description('procrastinate_jobs'::regclass)")


@pytest.fixture
def revisions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Give a copy of the revisions, which a test may change."""
    shutil.copytree(ROOT / "alembic", tmp_path / "alembic")
    shutil.copy(ROOT / "alembic.ini", tmp_path)
    monkeypatch.setattr(job_tables, "ALEMBIC_INI", tmp_path / "alembic.ini")
    return tmp_path / "alembic" / "versions"


@pytest.fixture
def next_migration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Give the library another migration, as an upgrade of it would."""
    file = tmp_path / "99.00.00_01_pre_add_color.sql"
    add = "ALTER TABLE procrastinate_jobs ADD COLUMN color text"
    file.write_text(f"{add} DEFAULT 'a:b';")
    known = job_tables.migrations()
    migrations = {**known, file.stem: file}
    monkeypatch.setattr(job_tables, "migrations", lambda: migrations)
    return file.stem


def test_every_migration_of_the_library_has_a_revision() -> None:
    assert job_tables.problem() is None


def test_a_migration_without_a_revision_is_named_with_the_command_that_writes_it(
    revisions: Path, next_migration: str
) -> None:
    problem = job_tables.problem() or ""

    assert next_migration in problem
    assert "uv run python scripts/new_job_revisions.py" in problem


async def test_a_migration_runs_once_whatever_its_revisions_do(
    connection: AsyncConnection, next_migration: str
) -> None:
    for _ in range(2):
        await connection.execute(job_tables.upgrade_to(next_migration))

    assert await connection.scalar(DONE) == next_migration
    color = await connection.scalar(
        text("""
            INSERT INTO procrastinate_jobs (queue_name, task_name)
            VALUES ('a', 'a') RETURNING color
        """)
    )
    assert color == "a:b"
