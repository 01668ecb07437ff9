"""The pipeline that proposes the template's next version, run as a forge runs it."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.harness.forges import publish, write_only_test
from tests.harness.history import TOMORROW, WORKING_TREE, start
from tests.harness.project import Project
from tests.harness.types import Render

SCRIPT = "scripts/update-from-template"
BRANCH = f"template-{TOMORROW}"
FORGES = {"github": {"GITHUB_ACTIONS": "true"}, "gitlab": {"GITLAB_CI": "true"}}


@pytest.fixture
def project(history: Project, tmp_path: Path) -> Project:
    """A project of the working tree's version, with a remote and stand-ins for the forges."""
    project = start(history, tmp_path / "project", WORKING_TREE, ci="github")
    publish(project)
    return project


@pytest.fixture
def quick(project: Project) -> Project:
    """The same project with a single test."""
    write_only_test(project, "assert True")
    project.git("add", "--all")
    project.git("commit", "--quiet", "--message", "Test little")
    project.git("push", "--quiet", "origin", "HEAD")
    project.git("remote", "set-head", "origin", "--auto")
    return project


def published(project: Project) -> Path:
    """Return the directory that contains the remote."""
    return next(path for path in project.path.parents if (path / "origin").exists())


def propose(
    project: Project, forge: str = "github", *, code: int = 0, refused: str = ""
) -> str:
    """Run the script as its job does, and return what it printed."""
    here = published(project)
    environment = {
        **dict.fromkeys(("GITHUB_ACTIONS", "GITLAB_CI")),
        **FORGES[forge],
        "PATH": f"{here / 'programs'}:{project.environment({})['PATH']}",
        "CALLED": str(here / "called"),
        "ORIGIN": str(here / "origin"),
        "REFUSED": refused,
        "GITHUB_STEP_SUMMARY": str(here / "summary.md"),
        "GIT_CONFIG_COUNT": "0",
    }
    result = project.run(SCRIPT, check=False, **environment)
    assert result.returncode == code, result.stdout
    assert "Traceback" not in result.stdout
    return result.stdout


def check_out(project: Project) -> None:
    """Check out the default branch in the same clone, as a runner does for the next job."""
    project.git("checkout", "--quiet", "--force", "--detach", "origin/HEAD")
    project.git("clean", "--quiet", "--force", "-d")


def called(project: Project) -> str:
    return (project.path.parent / "called").read_text()


def summary(project: Project) -> str:
    return (project.path.parent / "summary.md").read_text()


def branches(project: Project) -> list[str]:
    return re.findall(
        r"refs/heads/(\S+)", project.git("ls-remote", "--heads", "origin")
    )


@pytest.mark.parametrize("forge", FORGES)
def test_the_next_version_is_tested_and_proposed_once(
    quick: Project, forge: str
) -> None:
    """Also if the forge refused it at first, and the clone of that job still exists."""
    before = branches(quick)

    first = propose(quick, forge, code=1, refused="yes")
    check_out(quick)
    second = propose(quick, forge)
    proposed = called(quick)
    check_out(quick)
    third = propose(quick, forge)

    assert re.search("not permitted|has no merge request", first)
    assert "passed" in second
    assert f"to {TOMORROW} has been proposed on {BRANCH}." in second
    assert sorted(branches(quick)) == sorted([*before, BRANCH])
    assert "## 1001.0.0" in proposed
    assert "## 1000.0.0" not in proposed
    if forge == "github":
        assert proposed.startswith(f"pr\ncreate\n--head\n{BRANCH}\n")
    else:
        assert "merge_request.create" in proposed
        title = f"merge_request.title=Update from the template: {WORKING_TREE}"
        assert title in proposed
        assert "merge_request.description=## 1001.0.0\\n" in proposed
    assert "app/core/tomorrow.py" in quick.git("show", "--stat", BRANCH)
    assert "has already been proposed" in third


def test_a_branch_that_someone_else_pushed_is_left_alone(quick: Project) -> None:
    quick.git("push", "--quiet", "origin", f"HEAD:refs/heads/{BRANCH}")
    before = quick.git("ls-remote", "origin")

    output = propose(quick, code=1)

    assert f"{BRANCH} exists on origin, but has no proposal." in output
    assert quick.git("ls-remote", "origin") == before


@pytest.mark.parametrize("forge", FORGES)
def test_an_update_whose_tests_fail_is_proposed_as_needing_work(
    quick: Project, forge: str
) -> None:
    write_only_test(
        quick, 'assert not __import__("os").path.exists("app/core/tomorrow.py")'
    )
    quick.git("commit", "--quiet", "--all", "--message", "Refuse tomorrow")
    quick.git("push", "--quiet", "origin", "HEAD")

    propose(quick, forge, code=1)
    check_out(quick)
    second = propose(quick, forge, code=1)

    for text in (called(quick), summary(quick)):
        assert "Draft: Update from the template" in text
        assert "1 failed" in text
        assert "## 1001.0.0" in text
    assert "but its tests fail" in second


def test_nothing_is_pushed_that_conflicts(project: Project) -> None:
    main = project.path / "app" / "main.py"
    main.write_text(
        main.read_text().replace("set_up(app)\n", "set_up(app)\nours = 1\n")
    )
    project.git("commit", "--quiet", "--all", "--message", "Edit")
    before = branches(project)

    output = propose(project, code=1)

    assert f"has conflicts. Run {SCRIPT}" in output
    assert "app/main.py" in summary(project)
    assert "## 1001.0.0" in summary(project)
    assert branches(project) == before


@pytest.mark.parametrize("version", ["0.2.0", "0.10.0"])
def test_a_shell_script_of_an_older_version_fails_when_the_update_replaces_it(
    history: Project, tmp_path: Path, version: str
) -> None:
    """A shell reads its script while it runs, so it continues inside the new one."""
    project = start(history, tmp_path / "project", version, ci="github")
    publish(project)
    before = branches(project)

    propose(project, code=127)

    assert branches(project) == before


def test_a_project_that_is_up_to_date_says_so(
    history: Project,
    project: Project,
) -> None:
    project.run("copier", "update", "--defaults", "--quiet")
    project.git("add", "--all")
    project.git("commit", "--quiet", "--message", "Update")

    assert (
        propose(project)
        == f"This project is up to date with its template: {TOMORROW}.\n"
    )


def test_the_github_workflow_is_pinned_and_asks_for_little(render: Render) -> None:
    text = (render(ci="github").path / ".github/workflows/update.yml").read_text()
    workflow = yaml.safe_load(text)

    assert workflow["permissions"] == {}
    (job,) = workflow["jobs"].values()
    assert job["timeout-minutes"]
    for step in job["steps"]:
        assert "uses" not in step or re.search(r"@[0-9a-f]{40}$", step["uses"]), step
    assert job["steps"][-1]["run"] == SCRIPT


def test_the_script_is_executable_for_every_answer(render: Render) -> None:
    for ci in ("github", "gitlab", "none"):
        script = render(ci=ci).path / SCRIPT
        assert script.stat().st_mode & 0o111 == 0o111


def test_the_script_is_formatted_and_lint_clean(installed: Render) -> None:
    """It has no suffix, so the checks of a project do not find it."""
    project = installed()
    text = (project.path / SCRIPT).read_text()
    for command in (["format", "--check"], ["check"]):
        subprocess.run(
            ["ruff", *command, "--stdin-filename", "app/script.py", "-"],
            cwd=project.path,
            input=text,
            text=True,
            check=True,
        )
