"""The pipeline that proposes the template's next version, run as a forge runs it."""

import re
from pathlib import Path

import pytest
import yaml

from tests.harness.history import TOMORROW, WORKING_TREE, commit, copier, start
from tests.harness.project import Project
from tests.harness.types import Render

SCRIPT = "scripts/update-from-template"
GH = """#!/usr/bin/env bash
printf '%s\\n' "$@" > "$GH_CALLED"
"""


@pytest.fixture
def project(history: Project, tmp_path: Path) -> Project:
    """A project of the working tree's version, with a remote and a stand-in for gh."""
    project = start(history, tmp_path / "project", WORKING_TREE, ci="github")
    commit(project)
    project.git("init", "--quiet", "--bare", str(tmp_path / "origin"))
    project.git("remote", "add", "origin", str(tmp_path / "origin"))
    project.git("push", "--quiet", "origin", "HEAD")
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "gh").write_text(GH)
    (programs / "gh").chmod(0o755)
    return project


def propose(project: Project, *, check: bool = True, **environment: str) -> str:
    """Run the script as its job does, and return what it printed."""
    here = project.path.parent
    path = f"{here / 'programs'}:{project.environment({})['PATH']}"
    return project.run(
        SCRIPT,
        check=check,
        PATH=path,
        GH_CALLED=str(here / "called"),
        GIT_CONFIG_COUNT="0",
        **environment,
    ).stdout


def branches(project: Project) -> list[str]:
    return re.findall(
        r"refs/heads/(\S+)", project.git("ls-remote", "--heads", "origin")
    )


def test_the_next_version_is_tested_and_proposed_once(project: Project) -> None:
    before = branches(project)

    first = propose(project)
    project.git("switch", "--quiet", "-")
    second = propose(project)

    branch = f"template-{TOMORROW}"
    assert "passed" in first
    assert f"to {TOMORROW} has been proposed on {branch}." in first
    assert sorted(branches(project)) == sorted([*before, branch])
    call = (project.path.parent / "called").read_text()
    assert call.startswith(f"pr\ncreate\n--head\n{branch}\n")
    assert "## 1001.0.0" in call
    assert "## 1000.0.0" not in call
    assert "app/core/tomorrow.py" in project.git("show", "--stat", branch)
    assert "already been proposed" in second


def test_gitlab_opens_the_merge_request_itself(project: Project) -> None:
    bare = project.path.parent / "origin"
    project.git("-C", str(bare), "config", "receive.advertisePushOptions", "true")
    hook = bare / "hooks" / "post-receive"
    hook.write_text('#!/bin/sh\nenv | grep ^GIT_PUSH_OPTION > "$GH_CALLED"\n')
    hook.chmod(0o755)

    propose(project, GITLAB_CI="true")

    options = (project.path.parent / "called").read_text()
    assert "merge_request.create" in options
    assert f"merge_request.title=Update from the template: {WORKING_TREE}" in options
    assert "merge_request.description=## 1001.0.0\\n" in options


def test_nothing_is_pushed_that_conflicts(project: Project) -> None:
    main = project.path / "app" / "main.py"
    main.write_text(
        main.read_text().replace("set_up(app)\n", "set_up(app)\nours = 1\n")
    )
    project.git("commit", "--quiet", "--all", "--message", "Edit")
    before = branches(project)
    summary = project.path.parent / "summary.md"

    output = propose(project, check=False, GITHUB_STEP_SUMMARY=str(summary))

    assert "has conflicts. Run uvx copier update" in output
    assert "app/main.py" in summary.read_text()
    assert branches(project) == before


def test_a_project_that_is_up_to_date_says_so(
    history: Project,
    project: Project,
) -> None:
    copier(project, "update", "--defaults", "--quiet")
    project.git("add", "--all")
    project.git("commit", "--quiet", "--message", "Update")

    assert f"template: {TOMORROW}." in propose(project)


def test_the_github_workflow_is_pinned_and_asks_for_little(render: Render) -> None:
    text = (render(ci="github").path / ".github/workflows/update.yml").read_text()
    workflow = yaml.safe_load(text)

    assert workflow["permissions"] == {}
    (job,) = workflow["jobs"].values()
    assert job["timeout-minutes"]
    for step in job["steps"]:
        assert "uses" not in step or re.search(r"@[0-9a-f]{40}$", step["uses"]), step
    assert job["steps"][-1]["run"] == SCRIPT


def test_the_script_is_executable_and_parses(render: Render) -> None:
    for ci in ("github", "gitlab"):
        project = render(ci=ci)
        project.run("bash", "-n", SCRIPT)
        assert (project.path / SCRIPT).stat().st_mode & 0o111 == 0o111
    assert not (render().path / "scripts" / "update-from-template").exists()
