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
    project = source.copy_with_environment(tmp_path / "project")
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


def test_a_revision_written_by_hand_has_its_imports(project: Project) -> None:
    project.run("alembic", "revision", "-m", "Fill color")

    (path,) = (project.path / "alembic" / "versions").glob("*-fill_color.py")
    assert "\nimport sqlalchemy as sa\nfrom alembic import op\n" in path.read_text()
    path.write_text(
        path.read_text().replace("    pass\n", '    op.execute(sa.text("SELECT 1"))\n')
    )
    project.run("ruff", "check", path)
    project.run("ruff", "format", "--check", path)


def test_a_revision_that_needs_no_import_has_none(project: Project) -> None:
    project.run("alembic", "upgrade", "head")
    model = project.path / "app" / "models" / "item.py"
    index = '        Index(None, "quantity", "id"),\n'
    model.write_text(
        model.read_text().replace(index, f'{index}        Index(None, "version"),\n')
    )

    project.run("alembic", "revision", "--autogenerate", "-m", "Index version")

    (path,) = (project.path / "alembic" / "versions").glob("*-index_version.py")
    project.run("ruff", "check", path)
    assert "op.create_index" in path.read_text()


def programs(project: Project, **environment: str) -> Generator[str]:
    """Give what each program says that migrates the database, and cannot."""
    environment["PYTHONPATH"] = str(project.path)
    tests = ("pytest", "-q", "-p", "no:cacheprovider", "tests/items")
    for command in (("alembic", "upgrade", "head"), ("dev", "--port", "0"), tests):
        result = project.run(*command, check=False, **environment)
        assert result.returncode != 0, result.stdout
        assert "Traceback" not in result.stdout, result.stdout
        assert ".local" not in result.stdout.replace(str(project.path), "")
        yield result.stdout


def test_several_heads_are_to_be_merged(project: Project) -> None:
    versions = project.path / "alembic" / "versions"
    other = SLOW.replace('revision = "slow"', 'revision = "other"', 1)
    (versions / "2026_01_04_0000-other.py").write_text(other)

    for output in programs(project):
        assert "alembic merge heads" in output, output
    for arguments in (("check",), ("revision", "--autogenerate", "-m", "Add size")):
        result = project.run("alembic", *arguments, check=False)
        assert result.returncode != 0
        assert "several heads, concurrent, other: join" in result.stdout, result.stdout

    project.run("alembic", "merge", "heads", "-m", "Merge")
    assert len(project.run("alembic", "heads").stdout.splitlines()) == 1


def test_a_database_of_another_branch_is_named(project: Project) -> None:
    project.run("alembic", "upgrade", "slow")
    versions = project.path / "alembic" / "versions"
    for path in versions.glob("2026_01_0[23]*.py"):
        path.unlink()

    for command in (("alembic", "upgrade", "head"), ("dev", "--port", "0")):
        result = project.run(*command, check=False, PYTHONPATH=str(project.path))
        assert result.returncode != 0
        assert "revision identified by 'slow', which is not in" in result.stdout
        assert "Traceback" not in result.stdout


def test_a_missing_revision_is_named(project: Project) -> None:
    (project.path / "alembic" / "versions" / "2026_01_02_0000-slow.py").unlink()
    (concurrent,) = (project.path / "alembic" / "versions").glob("*-concurrent.py")

    linted = project.run(
        *("python", "scripts/lint_migrations.py", concurrent),
        check=False,
        PYTHONPATH=str(project.path),
    )
    for output in (linted.stdout, *programs(project)):
        assert "Revision slow referenced from slow -> concurrent" in output, output
        assert "Traceback" not in output


def test_a_database_that_cannot_be_reached_is_named(project: Project) -> None:
    for output in programs(project, DATABASE_URL="postgresql://me@127.0.0.1:1/none"):
        assert "127.0.0.1:1/none cannot be used: " in output
        assert "Connect call failed" in output


def test_a_migration_in_a_running_loop_says_what_to_do(project: Project) -> None:
    program = """
import asyncio
from alembic.command import upgrade
from alembic.config import Config

async def main():
    upgrade(Config("alembic.ini"), "head")

try:
    asyncio.run(main())
except Exception as error:
    print(f"{type(error).__name__}: {error}")
"""

    output = project.run("python", "-W", "error", "-c", program).stdout

    assert "CommandError: Alembic cannot run inside a running event loop" in output
    assert "asyncio.to_thread" in output
    assert "never awaited" not in output


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
        .replace('"color", sa.String(20))', '"shade", sa.String(20), nullable=False)')
    )
    project.git("add", "--all")
    project.git("commit", "--quiet", "--message", "Add a revision")
    refs = ("--from-ref", "HEAD~1", "--to-ref", "HEAD")
    hook = ("prek", "run", "lint-migrations")
    environment = {"UV_NO_SYNC": "1"}

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


def test_the_linter_reports_lines_of_revisions_and_goes_on_after_one_that_fails(
    project: Project,
) -> None:
    """A data migration in Python asks the database, and an empty one is no obstacle."""
    versions = project.path / "alembic" / "versions"
    asking = versions / "2026_01_04_0000-asking.py"
    asking.write_text(
        SLOW.replace('"slow"', '"asking"')
        .replace('"d20e94b6a7c3"', '"concurrent"')
        .replace(
            """    op.execute("SELECT pg_sleep(1)")
    op.add_column("item", sa.Column("color", sa.String(20)))
""",
            """    connection = op.get_bind()
    for (id,) in connection.execute(sa.text("SELECT id FROM item")):
        connection.execute(sa.text("SELECT :id"), {"id": id})
    connection.execute(
        sa.text("CREATE INDEX ix ON item (description)")
    )
""",
        )
    )
    failing = versions / "2026_01_05_0000-failing.py"
    failing.write_text(
        SLOW.replace('"slow"', '"failing"').replace('"d20e94b6a7c3"', '"asking"')
    )
    linter = ("python", "scripts/lint_migrations.py")
    files = [path.relative_to(project.path) for path in (failing, asking)]

    found = project.run(*linter, *files, check=False)
    asking.write_text(
        asking.read_text().replace(
            "    connection.execute(\n",
            "    # The table is small. squawk-ignore table-scan\n    connection.execute(\n",
        )
    )
    failing.write_text(failing.read_text().replace('"color"', '"shade"'))
    accepted = project.run(*linter, *files, check=False)

    reports = [line for line in found.stdout.splitlines() if line.startswith("alembic")]
    assert reports == [
        f"{files[1]}:12: note: query",
        f"{files[1]}:14: error: table-scan",
        f"{files[0]}:12: error: fails",
    ]
    assert found.returncode == 1
    assert 'column "color" of relation "item" already exists' in found.stdout
    assert accepted.returncode == 0, accepted.stdout
    assert "Traceback" not in found.stdout + accepted.stdout


def test_the_linter_says_what_it_needs_where_no_database_can_be_had(
    project: Project,
) -> None:
    (concurrent,) = (project.path / "alembic" / "versions").glob("*-concurrent.py")

    refused = project.run(
        *("python", "scripts/lint_migrations.py", concurrent),
        check=False,
        DATABASE_URL="postgresql://nobody@127.0.0.1:1/none",
    )

    assert refused.returncode == 1
    assert refused.stdout.startswith("Cannot run the revisions in a new database")
    assert "Traceback" not in refused.stdout
