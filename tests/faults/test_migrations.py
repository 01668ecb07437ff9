"""Migrations that are killed in the middle."""

import contextlib
import subprocess
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.harness.pages import HOW_TO, blocks, section
from tests.harness.postgres import Postgres
from tests.harness.project import Project, wait_until
from tests.harness.revisions import add_revision, lint_revisions, newest_revision
from tests.harness.serving import SETTINGS
from tests.harness.types import Measure

SLOW = """
def upgrade() -> None:
    op.execute("ALTER TABLE item ADD COLUMN color text")
    op.execute("SELECT pg_sleep(2)")
"""


@contextlib.contextmanager
def migrating(project: Project, postgres: Postgres, statement: str) -> Generator[None]:
    """Migrate until a statement runs, and kill the process when the context ends."""
    with subprocess.Popen(
        ["alembic", "upgrade", "head"],
        cwd=project.path,
        env=project.environment({**SETTINGS, "DATABASE_URL": postgres.url}),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            runs = f"query LIKE '{statement}%' AND state = 'active'"
            count = f"SELECT count(*) FROM pg_stat_activity WHERE {runs}"
            wait_until(lambda: postgres.query(count) == "1")
            yield
        finally:
            process.kill()


@pytest.mark.promise(18)
def test_a_migration_that_is_killed_goes_on_with_the_next_run(
    project: Project, postgres: Postgres, tmp_path: Path, measure: Measure
) -> None:
    new = project.copy_with_environment(tmp_path / "new")
    (index,) = blocks(section(HOW_TO, "Add an index"), "python")
    slow = add_revision(new, SLOW, newest_revision(new), "slow")
    add_revision(new, index, slow, "index")
    lint_revisions(new, ["index"], postgres.url)
    settings = {**SETTINGS, "DATABASE_URL": postgres.url}
    project.run("alembic", "upgrade", "head", **settings)
    invalid = "SELECT count(*) FROM pg_index WHERE NOT indisvalid"
    seconds = []

    def go_on(to: str) -> None:
        start = time.monotonic()
        new.run("alembic", "upgrade", to, **settings)
        seconds.append(time.monotonic() - start)

    with migrating(new, postgres, "SELECT pg_sleep"):
        pass
    go_on("slow")
    with (
        postgres.reading(),
        migrating(new, postgres, "CREATE INDEX CONCURRENTLY"),
    ):
        pass
    go_on("head")
    new.run("alembic", "downgrade", "slow", **settings)
    postgres.query("DROP INDEX ix_item_quantity")
    with (
        postgres.reading(),
        migrating(new, postgres, "CREATE INDEX CONCURRENTLY"),
    ):
        postgres.kill()
    postgres.start()
    left = postgres.query(invalid)
    go_on("head")

    measure(
        "A migration killed in a transaction, in an index, and with PostgreSQL: the next "
        f"run succeeded each time, after {max(seconds):.1f} s at most."
    )
    assert left == "1"
    assert postgres.query(invalid) == "0"
    assert "index (head)" in new.run("alembic", "current", **settings).stdout
