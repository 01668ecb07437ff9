"""The linter of migrations, measured by what revisions do to a service that runs."""

import json
import textwrap
import tomllib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.harness.postgres import Postgres
from tests.harness.processes import once, shared_directory
from tests.harness.project import Project
from tests.harness.revisions import REVISION
from tests.harness.types import Render

MEASURED = tomllib.loads(
    Path(__file__).with_name("revisions_to_lint.toml").read_text(encoding="utf-8")
)
REVISIONS: dict[str, dict[str, Any]] = MEASURED["revisions"]
# In one process, and each in a copy of one database: 165 of everything would take long.
LINT_EACH = """
import asyncio, json, logging, sys
from pathlib import Path

import asyncpg
from alembic.command import upgrade
from alembic.script import ScriptDirectory

# Bytecode of a file that has the same size and was written in the same second is reused.
sys.dont_write_bytecode = True
sys.path.insert(0, "scripts")
from lint_migrations import lint
from migration_run import ALEMBIC, empty_database, settings


def execute(sql):
    async def run():
        connection = await asyncpg.connect(sys.argv[1])
        await connection.execute(sql)
        await connection.close()

    asyncio.run(run())


logging.disable(logging.INFO)
path = Path("alembic/versions/2026_03_02_0900-measured.py")
found = {}
with empty_database():
    upgrade(ALEMBIC, "before")
    before = settings.DATABASE_URL
    for name, text in json.loads(Path("measured.json").read_text()).items():
        path.write_text(text)
        revision = ScriptDirectory.from_config(ALEMBIC).get_revision("measured")
        execute(f"CREATE DATABASE measured TEMPLATE {before.database}")
        settings.DATABASE_URL = before.set(database="measured")
        found[name] = [(one.rule, one.is_note) for one in lint(revision)]
        execute("DROP DATABASE measured")
Path(sys.argv[2]).write_text(json.dumps(found))
"""


def revision(name: str, down_revision: str, upgrade: str) -> str:
    code = f"def upgrade() -> None:\n{textwrap.indent(upgrade, '    ')}\n"
    return REVISION.format(revision=name, down_revision=down_revision, upgrade=code)


def executing(statements: list[str], *, autocommit: bool = False) -> str:
    code = "\n".join(f"op.execute({statement!r})" for statement in statements)
    if not autocommit:
        return code
    indented = textwrap.indent(code, "    ")
    return f"with op.get_context().autocommit_block():\n{indented}"


@pytest.fixture(scope="module")
def found(
    installed: Render, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[tuple[str, bool]]]:
    """What the linter finds in each revision: rules, and whether it is only a note."""
    path = shared_directory(tmp_path_factory, "lint") / "found.json"
    with once(path) as is_first:
        if is_first:
            lint_each(installed(), tmp_path_factory.mktemp("lint"), path)
        return json.loads(path.read_text())


def lint_each(service: Project, directory: Path, found: Path) -> None:
    """Lint all revisions, with a server that makes and drops databases in no time."""
    project = service.copy_with_environment(directory / "project")
    versions = project.path / "alembic" / "versions"
    before = revision("before", "d20e94b6a7c3", executing(MEASURED["setup"]))
    (versions / "2026_03_01_0900-before.py").write_text(before)
    texts = {
        name: revision(
            "measured",
            "before",
            measured.get("python")
            or executing(measured["sql"], autocommit=measured.get("autocommit", False)),
        )
        for name, measured in REVISIONS.items()
    }
    (project.path / "measured.json").write_text(json.dumps(texts))
    postgres = Postgres(project, directory / "postgres")
    postgres.start()
    with closing(postgres):
        # Nothing in the databases is to last.
        postgres.query("ALTER SYSTEM SET fsync = off")
        postgres.query("SELECT pg_reload_conf()")
        arguments = (postgres.url, str(found))
        project.run("python", "-c", LINT_EACH, *arguments, DATABASE_URL=postgres.url)


@pytest.mark.parametrize("name", REVISIONS)
def test_a_revision_is_judged_by_what_it_does(
    found: dict[str, list[tuple[str, bool]]], name: str
) -> None:
    errors = sorted({rule for rule, is_note in found[name] if not is_note})

    assert errors == REVISIONS[name].get("finds", [])


def test_the_lint_finds_revisions_that_block_and_passes_the_others(
    found: dict[str, list[tuple[str, bool]]],
    record_property: Callable[[str, object], None],
) -> None:
    def passed(*does: str) -> list[str]:
        return [
            name
            for name, measured in REVISIONS.items()
            if measured["does"] in does and all(note for _, note in found[name])
        ]

    fine = [name for name, one in REVISIONS.items() if one["does"] == "fine"]
    refused = sorted(set(fine) - set(passed("fine")))
    noted = [name for name in passed("breaks") if found[name]]
    record_property(
        "measure",
        f"Of {len(REVISIONS)} revisions {len(passed('blocks', 'writes'))} that block pass "
        f"the linter, and {len(refused)} that are fine do not: {', '.join(refused)}.",
    )

    assert passed("blocks", "writes", "fails", "cannot_be_repeated") == []
    # Whether these break something depends on the release that still runs.
    assert passed("breaks") == noted == ["not_null_not_valid", "stricter_check_nv"]
    # PostgreSQL drops no type that a column has; code may still name it.
    assert refused == ["drop_type"]


def test_a_column_that_the_release_before_does_not_write_restricts_nothing(
    found: dict[str, list[tuple[str, bool]]],
) -> None:
    assert found["add_const_default"] == found["add_numeric_default"] == []
