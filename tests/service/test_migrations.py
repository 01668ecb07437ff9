"""Migrations, as several replicas apply them at once."""

import contextlib
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.harness.project import Project
from tests.harness.types import Render

REPLICAS = 4
SLOW = '''"""Slow."""

import sqlalchemy as sa
from alembic import op

revision = "slow"
down_revision = "d20e94b6a7c3"


def upgrade() -> None:
    op.execute("SELECT pg_sleep(1)")
    op.add_column("item", sa.Column("color", sa.String(20)))


def downgrade() -> None:
    op.drop_column("item", "color")
'''
CONCURRENT = '''"""Concurrent."""

from alembic import op

revision = "concurrent"
down_revision = "slow"


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.create_index(
            "ix_item_color", "item", ["color"], postgresql_concurrently=True
        )


def downgrade() -> None:
    op.drop_index("ix_item_color")
'''


@pytest.fixture
def project(installed: Render, tmp_path: Path) -> Generator[Project]:
    """A project with a slow revision and one that cannot run in a transaction."""
    source = installed()
    project = source.copy(tmp_path / "project")
    (project.path / ".venv").symlink_to(source.path / ".venv")
    versions = project.path / "alembic" / "versions"
    (versions / "2026_01_02_0000-slow.py").write_text(SLOW)
    (versions / "2026_01_03_0000-concurrent.py").write_text(CONCURRENT)
    # The packages are another project's, which must not be imported instead.
    with project.start("python", "-c", "import app.core.config, time; time.sleep(99)"):
        yield project


@pytest.mark.promise(18)
def test_replicas_that_migrate_at_once_all_succeed_and_each_revision_runs_once(
    project: Project,
) -> None:
    with contextlib.ExitStack() as stack:
        replicas = [
            stack.enter_context(
                subprocess.Popen(
                    ["alembic", "upgrade", "head"],
                    cwd=project.path,
                    env=project.environment({}),
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                )
            )
            for _ in range(REPLICAS)
        ]
        outputs = [replica.communicate(timeout=120)[0] for replica in replicas]

    assert [replica.returncode for replica in replicas] == [0] * REPLICAS, outputs
    for revision in ("d20e94b6a7c3", "slow", "concurrent"):
        assert sum(f"-> {revision}," in output for output in outputs) == 1, outputs
    current = project.run("alembic", "current").stdout
    assert "concurrent (head)" in current


def test_a_migration_that_fails_leaves_the_ones_before_it_and_no_lock(
    project: Project,
) -> None:
    broken = project.path / "alembic" / "versions" / "2026_01_03_0000-concurrent.py"
    broken.write_text(CONCURRENT.replace('"item"', '"no_such_table"'))

    failed = project.run("alembic", "upgrade", "head", check=False)
    after_failure = project.run("alembic", "current").stdout
    broken.write_text(CONCURRENT)
    project.run("alembic", "upgrade", "head")

    assert failed.returncode == 1
    assert after_failure.splitlines()[-1] == "slow"
    assert "concurrent (head)" in project.run("alembic", "current").stdout


def test_a_new_revision_is_readable_and_formatted(project: Project) -> None:
    project.run("alembic", "upgrade", "head")
    model = project.path / "app" / "models" / "item.py"
    model.write_text(
        model.read_text()
        .replace("quantity >= 0", "quantity >= 0 AND quantity < 1000")
        .replace("not_negative", "in_range")
        .replace(
            "    quantity: Mapped[int]\n",
            "    quantity: Mapped[int]\n"
            "    color: Mapped[str | None] = mapped_column(String(20), index=True)\n"
            "    price: Mapped[int | None]\n",
        )
    )

    project.run("alembic", "revision", "--autogenerate", "-m", "Add price to item")

    versions = project.path / "alembic" / "versions"
    (path,) = versions.glob("*-add_price_to_item.py")
    project.run("ruff", "check", path)
    project.run("ruff", "format", "--check", path)
    text = path.read_text()
    assert text.startswith('"""Add price to item."""\n')
    assert 'op.add_column("item", sa.Column("price"' in text
    assert "ck_item_quantity_in_range" in text
    assert "ck_item_quantity_not_negative" in text


def test_the_sql_of_a_migration_can_be_had_without_a_database(
    project: Project,
) -> None:
    sql = project.run(
        *("alembic", "upgrade", "head", "--sql"),
        DATABASE_URL="postgresql://nobody@127.0.0.1:1/none",
    ).stdout

    assert "CREATE TABLE item" in sql
    assert "CREATE INDEX CONCURRENTLY" in sql


def test_a_statement_that_locks_a_table_is_found_in_a_new_revision(
    project: Project,
) -> None:
    """The one before it, which is in use already, has to be left alone."""
    versions = project.path / "alembic" / "versions"
    (concurrent,) = versions.glob("*-concurrent.py")
    project.git("init", "--quiet")
    project.git("add", "--all")
    project.git("commit", "--quiet", "--message", "In use")
    locking = versions / "2026_01_04_0000-locking.py"
    locking.write_text(
        SLOW.replace('"slow"', '"locking"')
        .replace('"d20e94b6a7c3"', '"concurrent"')
        .replace("sa.String(20))", "sa.String(20), nullable=False)")
    )
    project.git("add", "--all")
    project.git("commit", "--quiet", "--message", "Add a revision")
    refs = ("--from-ref", "HEAD~1", "--to-ref", "HEAD")
    hook = ("prek", "run", "lint-migrations")
    environment = {
        "UV_NO_SYNC": "1",
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
    }

    found = project.run(*hook, *refs, check=False, **environment)
    locking.write_text(locking.read_text().replace(", nullable=False", ""))
    project.git("commit", "--quiet", "--all", "--amend", "--no-edit")
    fine = project.run(*hook, *refs, check=False, **environment)
    linter = ("python", "scripts/lint_migrations.py")
    old = project.run(*linter, concurrent, check=False, **environment)
    no_revision = project.run(*linter, "app/main.py", check=False, **environment)

    assert found.returncode == 1, found.stdout
    assert "adding-required-field" in found.stdout
    assert "Missing `IF NOT EXISTS`" not in found.stdout
    assert fine.returncode == 0, fine.stdout
    assert old.returncode == 1
    assert "Missing `IF NOT EXISTS`" in old.stdout
    assert no_revision.returncode == 2
    assert "app/main.py is not a revision" in no_revision.stdout
