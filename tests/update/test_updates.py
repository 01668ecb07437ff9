"""`copier update`, from every released version, after realistic edits: nothing hurts."""

import ast
import re
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness import answers
from tests.harness.answers import answer
from tests.harness.history import (
    RELEASES,
    TOMORROW,
    WORKING_TREE,
    assert_clean,
    commit,
    start,
    update,
)
from tests.harness.owners import is_the_team_s, moved
from tests.harness.project import ROOT, Project
from tests.harness.team import (
    Work,
    a_feature,
    a_year,
    has_its_own_image_and_pipeline,
    nothing,
)
from tests.harness.types import Render

VERSIONS = [*RELEASES, WORKING_TREE, TOMORROW]
# Step by step through all versions, the newest release to the working tree, and every
# version to tomorrow. What one release does to another cannot change any more.
PATHS = [
    VERSIONS,
    VERSIONS[-3:-1],
    *([old, TOMORROW] for old in VERSIONS[:-1]),
]


# A year is all the edits.
CASES = [*((path, a_year) for path in PATHS), ([WORKING_TREE, TOMORROW], nothing)]


def missing_changes(
    project: Project, old: Project, new: Project, deleted: list[str]
) -> list[str]:
    """Return the lines that a version added to the template's files, but not here."""
    missing = []
    for path in new.files():
        if is_the_team_s(path) or str(path) in deleted:
            continue
        before = (old.path / path).read_text() if (old.path / path).exists() else ""
        after = (new.path / path).read_text()
        here = (
            (project.path / path).read_text() if (project.path / path).exists() else ""
        )
        added = set(after.splitlines()) - set(before.splitlines())
        missing += [f"{path}: {line}" for line in added - set(here.splitlines())]
    return missing


def pipeline_of(project: Project) -> str:
    """Return the answer that an update keeps, or takes where it was not asked before."""
    answers = (project.path / ".copier-answers.yml").read_text()
    return "github" if "\nci: github\n" in answers else "none"


@pytest.mark.parametrize(
    ("path", "edit"),
    CASES,
    ids=lambda value: " → ".join(value) if isinstance(value, list) else value.__name__,
)
def test_an_update_is_clean_and_loses_nothing(
    history: Project,
    tmp_path: Path,
    path: list[str],
    edit: Callable[[Work], None],
    record_property: Callable[..., None],
) -> None:
    record_property("update", " → ".join(path))
    repository = Project(tmp_path / "repository")
    # Every second version is updated beneath the root of a larger repository.
    is_beneath = VERSIONS.index(path[0]) % 2 and edit is a_year
    place = Path("services/privacy") if is_beneath else Path()
    project = start(history, repository.path / place, path[0])
    work = Work(project)
    edit(work)
    commit(repository)

    for version in path[1:]:
        update(project, version)
        assert_clean(project)
        commit(repository)

    old = start(history, tmp_path / "old", path[0])
    new = start(history, tmp_path / "new", path[-1], ci=pipeline_of(old))
    assert work.lost() == []
    assert missing_changes(project, old, new, work.deleted) == []
    # A path that the template deletes or renames would take a team's edits with it.
    gone = set(map(str, old.files())) - set(map(str, project.files()))
    assert gone <= set(work.deleted)


@pytest.mark.parametrize("version", [VERSIONS[0], *VERSIONS[-2:0:-3]])
def test_every_answer_can_be_changed_and_what_is_not_there_stays_away(
    history: Project, tmp_path: Path, version: str
) -> None:
    """A service without an image or a pipeline gets only the script that updates it."""
    example = VERSIONS.index(version) % 2 == 0
    once = ["Dockerfile", ".dockerignore", "compose.yaml", ".coveragerc"]
    directory = tmp_path / "project"
    project = start(history, directory, version, example=example, ci="none")
    for path in once:
        (project.path / path).unlink(missing_ok=True)
    commit(project)
    before = project.files()

    update(project, TOMORROW, license="MIT", example=not example)

    assert_clean(project)
    assert "MIT License" in (project.path / "LICENSE").read_text()
    # The example belongs to the team from the first day on.
    assert {path for path in before if is_the_team_s(path)} <= set(project.files())
    assert (project.path / "app" / "items").exists() == example
    assert [path for path in once if (project.path / path).exists()] == []
    assert not (project.path / ".github").exists()
    script = project.path / "scripts" / "update-from-template"
    assert script.stat().st_mode & 0o111 == 0o111


@pytest.mark.parametrize("ci", ["github", "gitlab"])
@pytest.mark.parametrize("version", [VERSIONS[-3], WORKING_TREE])
def test_the_image_and_pipeline_that_a_team_has_are_left_alone(
    history: Project, tmp_path: Path, version: str, ci: str
) -> None:
    """Also where they have the paths that the template came to use later."""
    project = start(history, tmp_path / "project", version, ci=ci)
    work = Work(project)
    has_its_own_image_and_pipeline(work)
    commit(project)

    update(project, TOMORROW)

    assert_clean(project)
    assert work.lost() == []
    checks = {
        "github": "workflows/template-checks.yml",
        "gitlab": "template/checks.yml",
    }
    assert (project.path / f".{ci}" / checks[ci]).exists()


def test_a_pipeline_can_be_switched_on_changed_and_off_by_an_update(
    history: Project, tmp_path: Path
) -> None:
    project = start(history, tmp_path / "project", VERSIONS[0], ci="none")
    commit(project)
    github = project.path / ".github" / "workflows" / "update.yml"
    gitlab = project.path / ".gitlab-ci.yml"
    script = project.path / "scripts" / "update-from-template"

    seen = []
    for version, ci in (
        (WORKING_TREE, "github"),
        (WORKING_TREE, "gitlab"),
        (TOMORROW, "none"),
    ):
        update(project, version, ci=ci)
        assert_clean(project)
        commit(project)
        seen.append([github.exists(), gitlab.exists(), script.exists()])

    # The script is for people too.
    assert seen == [[True, False, True], [False, True, True], [False, False, True]]


def test_the_manifests_can_be_switched_on_by_an_update_and_then_are_the_team_s(
    history: Project, tmp_path: Path
) -> None:
    project = start(history, tmp_path / "project", VERSIONS[0])
    work = Work(project)
    work.write("deploy/notes.md", "# How we deployed before\n")
    commit(project)
    update(project, WORKING_TREE)
    assert_clean(project)
    assert not (project.path / "deploy" / "base").exists()
    commit(project)

    update(project, WORKING_TREE, kubernetes=True)
    assert_clean(project)
    work.append("deploy/overlays/production/settings.env", "DB_POOL_SIZE=10\n")
    work.change("deploy/overlays/staging/kustomization.yaml", "0.1.0", "2.0.0")
    commit(project)
    update(project, TOMORROW)

    assert_clean(project)
    assert work.lost() == []
    assert (project.path / "deploy" / "base" / "deployment.yaml").exists()


def switch_on(
    installed: Render, history: Project, directory: Path, **answers: object
) -> tuple[Project, Work]:
    """Give an edited service another answer by an update, and what its tests need."""
    project = start(history, directory / "project", VERSIONS[-3])
    work = Work(project)
    a_feature(work)
    commit(project)
    update(project, WORKING_TREE, **answers)
    assert_clean(project)
    assert work.lost() == []
    environment = installed(kubernetes=True, auth="oidc", jobs=True).path / ".venv"
    (project.path / ".venv").symlink_to(environment)
    return project, work


def test_a_service_that_an_update_closes_names_each_route_to_change(
    installed: Render, history: Project, tmp_path: Path
) -> None:
    """The routes are the team's: the update leaves them open, and a test fails for them."""
    project, work = switch_on(installed, history, tmp_path, auth="oidc")
    check = ("pytest", "-q", "tests/core/oidc/test_closed_by_default.py")

    failed = project.run(*check, check=False).stdout
    for name, old in (("items", "FeatureRouter"), ("privacy_requests", "APIRouter")):
        path = f"app/{name}/routes.py"
        work.change(path, rf"= {old}\(", "= ProtectedRouter(")
        imported = "from app.core.auth import ProtectedRouter\n"
        work.change(path, "(?=from app.core.database import)", imported)
    project.run(*check)

    named = r"^E +([A-Z]+ /\S*) \(app\.\w+\.routes\.\w+\)$"
    routes = re.findall(named, failed, re.MULTILINE)
    assert len(routes) == 8, failed
    assert {"GET /items/{item_id}", "POST /privacy-requests"} <= set(routes)
    assert 'router = ProtectedRouter(prefix="/lamps"' in failed


def test_jobs_can_be_switched_on_by_an_update_that_says_what_to_run(
    installed: Render, history: Project, tmp_path: Path
) -> None:
    """The revisions are the team's: a command writes the one of the jobs."""
    project, _ = switch_on(installed, history, tmp_path, jobs=True)
    tests = ("pytest", "-q", "tests/test_migrations.py", "tests/core/test_jobs.py")

    failed = project.run(*tests, check=False).stdout
    command = re.search(r"uv run (python scripts/\w+\.py)", failed)
    assert command is not None, failed
    # Its own code, and not that of the service whose packages it has.
    project.run(*command[1].split(), PYTHONPATH=str(project.path))
    project.run(*tests)

    assert project.run("alembic", "heads").stdout.count("(head)") == 1


def test_an_updated_service_passes_its_tests(history: Project, tmp_path: Path) -> None:
    """The oldest release after a year, updated to the working tree, really run, and traced."""
    project = start(history, tmp_path / "project", VERSIONS[0])
    work = Work(project)
    a_year(work)
    commit(project)
    update(project, WORKING_TREE, telemetry=True)

    assert_clean(project)
    assert work.lost() == []
    project.run("uv", "sync", "--quiet")
    for command in ("ruff check", "ruff format --check", "ty check"):
        project.run(*command.split())
    heads = project.run("alembic", "heads").stdout
    assert heads.count("(head)") == 1, heads
    project.run("pytest", "-W", "error", "-n", "2", "--override-ini=addopts=")
    with project.serve() as client:
        assert client.get("/readyz").status_code == 200
        body = {"email": "a@example.com"}
        assert (
            client.post("/privacy-requests", json=body).headers["x-team"] == "privacy"
        )


def test_an_answer_once_accepted_is_accepted_for_ever(
    template: Path, tmp_path: Path
) -> None:
    """An update replaces an answer that a validator refuses by its default, silently."""
    for version, revision in RELEASES.items():
        # Where the lists have stood since 0.11.0, and where they stood before.
        source = show(revision, "tests/harness/answers.py") or show(
            revision, "tests/test_questions.py"
        )
        accepted = {
            node.targets[0].id: eval(compile(ast.Expression(node.value), "", "eval"))
            for node in ast.parse(source).body
            if isinstance(node, ast.Assign)
            and node.targets[0].id.endswith("_TO_RENDER")
        }
        assert set(accepted) == {
            f"{x}_TO_RENDER" for x in ("NAMES", "SLUGS", "DESCRIPTIONS")
        }
        # What is still in the lists is rendered by the tests of the questions.
        for kind, question in {
            "NAMES": "project_name",
            "SLUGS": "project_slug",
            "DESCRIPTIONS": "description",
        }.items():
            current = getattr(answers, f"{kind}_TO_RENDER")
            for number, value in enumerate(accepted[f"{kind}_TO_RENDER"]):
                if value not in current:
                    path = tmp_path / f"{version}-{kind}-{number}"
                    answer(template, path, **{question: value})


@pytest.mark.parametrize("version", ["0.1.0", "0.10.0"])
def test_an_edit_in_a_module_that_moved_is_a_conflict_and_never_lost(
    history: Project, tmp_path: Path, version: str
) -> None:
    project = start(history, tmp_path / "project", version)
    work = Work(project)
    edited = [path for path in moved() if (project.path / path).exists()]
    for path in edited:
        work.append(path, "\n\nTEAM = True\n")
        work.change(path, r'(?s)\A""".*?"""\n', '"""As the team has it."""\n')
    commit(project)

    update(project, WORKING_TREE)

    unmerged = project.git("diff", "--name-only", "--diff-filter=U").split()
    assert sorted(unmerged) == sorted(edited)
    assert work.lost() == []


def test_a_service_never_sees_the_old_path_of_a_module_that_moved_before_it(
    history: Project, tmp_path: Path
) -> None:
    project = start(history, tmp_path / "project", WORKING_TREE)
    commit(project)
    update(project, TOMORROW)

    assert_clean(project)
    assert [path for path in moved() if (project.path / path).exists()] == []


@pytest.mark.parametrize("version", ["0.1.0", "0.10.0"])
def test_an_example_of_before_the_move_still_works(
    history: Project, tmp_path: Path, version: str
) -> None:
    """It is the team's, and imports from the old paths for as long as it stays."""
    project = start(history, tmp_path / "project", version)
    commit(project)
    update(project, WORKING_TREE)
    project.run("uv", "sync", "--quiet")
    if (project.path / "openapi.json").exists():
        # Descriptions change, which the changelog says how to accept.
        project.run("python", "tests/test_openapi.py")

    for command in ("ruff check", "ruff format --check", "ty check"):
        project.run(*command.split())
    project.run("pytest", "-W", "error", "-q", "tests/items")


def test_the_releases_are_those_of_the_changelog() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text()
    headings = re.findall(r"^## (\d+\.\d+\.\d+)$", changelog, re.MULTILINE)
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

    assert headings[0] == version
    assert list(RELEASES) in (headings[::-1], headings[:0:-1])
    for released, revision in RELEASES.items():
        text = show(revision, "pyproject.toml")
        assert text is not None, (
            f"The commit of {released} is not in this clone: it needs the full history."
        )
        assert tomllib.loads(text)["project"]["version"] == released


def show(revision: str, path: str) -> str | None:
    """Return a file of this repository as a commit has it, or None where it has none."""
    result = subprocess.run(
        ["git", "show", f"{revision}:{path}"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    return result.stdout if result.returncode == 0 else None
