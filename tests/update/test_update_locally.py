"""`scripts/update-from-template` on a developer's machine loses no edit under any settings."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.harness.history import (
    TOMORROW,
    WORKING_TREE,
    assert_clean,
    commit,
    start,
)
from tests.harness.project import Project
from tests.harness.team import (
    Work,
    add_a_setting,
    change_the_pool,
    delete_files_of_the_template,
    patch_by_hand,
)

SCRIPT = "scripts/update-from-template"
FULL_ADDRESS = "https://github.com/team/template.git"
# A formatter that runs before each commit in every repository.
HOOK = """#!/bin/sh
sed -i.old "s/# /#/" $(git ls-files '*.py') && git add --update
"""
# Settings with which a plain `copier update` loses edits, or hides or invents conflicts,
# of two developers who have as many of them as exclude no other.
SETTINGS = [
    {
        "core.excludesFile": ".env.*\napp/core/\n",
        "core.attributesFile": "* -diff\n",
        "core.autocrlf": "true",
        "apply.whitespace": "error",
        "core.hooksPath": HOOK,
        "init.templateDir": ".env.*\n",
        "status.showUntrackedFiles": "no",
    },
    {
        "core.attributesFile": "*.py text eol=crlf\n",
        "apply.whitespace": "fix",
    },
]


@pytest.fixture
def project(history: Project, tmp_path: Path) -> Project:
    """A service without a pipeline, of the working tree's version."""
    project = start(history, tmp_path / "project", WORKING_TREE, ci="none")
    commit(project)
    return project


def update(
    project: Project, *options: str, check: bool = True, **environment: str
) -> str:
    """Run the script outside of a pipeline, and return what it printed."""
    result = project.run(
        SCRIPT,
        *options,
        check=check,
        GITHUB_ACTIONS=None,
        GITLAB_CI=None,
        **environment,
    )
    assert check or result.returncode == 1, result.stdout
    assert "Traceback" not in result.stdout
    return result.stdout


def edit(project: Project) -> Work:
    """Edit files of the template, and leave a trailing blank that some settings reject."""
    work = Work(project)
    for change in (add_a_setting, change_the_pool, patch_by_hand):
        change(work)
    work.append("app/core/errors.py", "\n\nOURS = 1   \n")
    return work


def conflict(project: Project) -> None:
    main = project.path / "app" / "main.py"
    main.write_text(
        main.read_text().replace("set_up(app)\n", "set_up(app)\nours = 1\n")
    )
    commit(project)


def configuration(directory: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a developer whose git has these settings."""
    files = {
        "core.excludesFile": "patterns",
        "core.attributesFile": "attributes",
        "core.hooksPath": "hooks/pre-commit",
        "init.templateDir": "files/info/exclude",
    }
    path = directory / "gitconfig"
    for name, value in settings.items():
        if name in files:
            file = directory / files[name]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(value)
            file.chmod(0o755)
            value = str(directory / Path(files[name]).parts[0])
        subprocess.run(["git", "config", "--file", path, name, value], check=True)
    return {"GIT_CONFIG_GLOBAL": str(path)}


@pytest.mark.parametrize("settings", SETTINGS, ids=["many", "the others"])
def test_no_setting_of_one_developer_s_git_loses_an_edit(
    project: Project, tmp_path: Path, settings: dict[str, str]
) -> None:
    work = edit(project)
    commit(project)
    environment = configuration(tmp_path, settings)
    # Check the files out under the setting, a while ago: git compares the contents of a
    # file again if its index was written in the same second.
    files = "git ls-files -z | xargs -0"
    again = f"{files} rm && git checkout --quiet -- . && {files} touch -t 202601010000"
    project.run("sh", "-c", again, **environment)

    output = update(project, **environment)

    assert f"Updated to v{TOMORROW}." in output
    assert_clean(project)
    assert work.lost() == []
    assert "\r" not in (project.path / "app" / "main.py").read_bytes().decode()
    assert (project.path / "app" / "core" / "tomorrow.py").exists()


def test_a_conflict_is_listed_even_if_git_hides_untracked_files(
    project: Project, tmp_path: Path
) -> None:
    work = edit(project)
    conflict(project)
    hidden = configuration(tmp_path, {"status.showUntrackedFiles": "no"})

    output = update(project, check=False, **hidden)

    assert "has conflicts. Resolve them" in output
    assert "\n- app/main.py\n" in output
    assert "ours = 1\n" in (project.path / "app" / "main.py").read_text()
    assert "app/main.py" in project.git("ls-files", "--unmerged")
    assert work.lost() == []


def test_an_update_ends_with_what_to_review(project: Project) -> None:
    branch = project.git("branch", "--show-current")

    update(project, "--vcs-ref=:current:", "--data", "license=Apache-2.0")
    assert "Apache License" in (project.path / "LICENSE").read_text()
    assert not (project.path / "app" / "core" / "tomorrow.py").exists()
    commit(project)
    output = update(project)

    assert "- Everything changes.\n" in output
    assert output.endswith(
        "Next, review `git status` and `git diff`, and run `uv run pytest`.\n"
    )
    assert project.git("branch", "--list").split() == ["*", branch.strip()]
    commit(project)
    assert (
        update(project)
        == f"This project is up to date with its template: {TOMORROW}.\n"
    )
    update(project, "--data", "license=MIT")
    assert "MIT License" in (project.path / "LICENSE").read_text()


@pytest.mark.parametrize("path", ["app/main.py", "app/new.py", ".env.example"])
def test_work_that_is_not_committed_is_refused(
    project: Project, tmp_path: Path, path: str
) -> None:
    project.git("rm", "--quiet", "--cached", ".env.example")
    project.git("commit", "--quiet", "--message", "Ignore")
    if path != ".env.example":
        (project.path / ".env.example").unlink()
    with (project.path / path).open("a") as file:
        file.write("# ours\n")
    before = {name: (project.path / name).read_bytes() for name in project.files()}

    environment = configuration(tmp_path, {"core.excludesFile": ".env.*\n"})
    output = update(project, check=False, **environment)

    assert output.startswith("Commit or stash your work before you update:\n")
    assert path in output
    assert before == {
        name: (project.path / name).read_bytes() for name in project.files()
    }


@pytest.mark.parametrize("flag", ["--skip-worktree", "--assume-unchanged"])
def test_files_whose_changes_git_ignores_are_refused(
    project: Project, flag: str
) -> None:
    project.git("update-index", flag, ".env.example")
    (project.path / ".env.example").write_text("OURS=1\n")

    output = update(project, check=False)

    assert "- .env.example" in output
    assert (project.path / ".env.example").read_text() == "OURS=1\n"


def test_a_file_that_the_team_ignores_is_left_alone(project: Project) -> None:
    """Git cannot restore an ignored file."""
    with (project.path / ".gitignore").open("a") as file:
        file.write(".env.*\n")
    project.git("rm", "--quiet", "--cached", ".env.example")
    commit(project)
    (project.path / ".env.example").write_text("OURS=1\n")

    output = update(project)

    assert (project.path / ".env.example").read_text() == "OURS=1\n"
    assert "got no changes:\n- .env.example\n" in output


def test_files_that_the_team_moved_or_deleted_are_named(project: Project) -> None:
    delete_files_of_the_template(Work(project))
    project.git("mv", "app/core/health.py", "app/core/probes.py")
    (project.path / "README.md").unlink()
    commit(project)

    output = update(project)

    # The template did not change .editorconfig, and the team owns README.md.
    assert (
        "got no changes:\n- app/core/health.py\n- tests/core/test_pool.py\n\n"
    ) in output


def test_a_shallow_clone_in_a_larger_repository_without_a_name_is_updated(
    history: Project, tmp_path: Path
) -> None:
    repository = Project(tmp_path / "repository")
    project = start(history, repository.path / "services" / "privacy", WORKING_TREE)
    commit(repository)
    edited = edit(project)
    commit(repository)
    clone = Project(tmp_path / "clone")
    source = repository.path.as_uri()
    command = ["git", "clone", "--quiet", "--depth=1", source, clone.path]
    subprocess.run(command, check=True)
    work = Work(Project(clone.path / "services" / "privacy"))
    work.texts = edited.texts

    environment = configuration(tmp_path, {"user.useConfigOnly": "true"})
    output = update(work.project, **environment)

    assert f"Updated to v{TOMORROW}." in output
    assert_clean(work.project)
    assert work.lost() == []


def test_an_unreachable_template_is_reported_in_a_sentence(project: Project) -> None:
    answers = project.path / ".copier-answers.yml"
    lines = answers.read_text().splitlines()
    answers.write_text(
        "\n".join(
            "_src_path: https://127.0.0.1:1/gone.git"
            if line.startswith("_src_path")
            else line
            for line in lines
        )
    )
    commit(project)

    output = update(project, check=False)

    assert output.startswith("This command failed: ")
    assert "127.0.0.1" in output


@pytest.mark.parametrize("address", ["gh:team/template", FULL_ADDRESS])
def test_the_address_of_a_forge_leads_to_the_tags_there(
    history: Project, tmp_path: Path, address: str
) -> None:
    team = tmp_path / "team"
    bare = ("git", "clone", "--quiet", "--bare", history.path, team / "template.git")
    subprocess.run(bare, check=True)
    forge = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{team}/.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/team/",
    }
    project = Project(tmp_path / "project")
    project.path.mkdir()
    copy = ("copier", "copy", "--defaults", "--quiet")
    project.run(*copy, f"--vcs-ref=v{WORKING_TREE}", address, ".", **forge)
    commit(project)

    check = ("copier", "check-update", "--output-format=json")
    status = json.loads(project.run(*check, **forge).stdout)
    if address == FULL_ADDRESS:
        # Renovate asks git for the tags of the recorded address, and runs this.
        tags = project.run("git", "ls-remote", "--tags", address, **forge).stdout
        renovate = ("--skip-answered", "--answers-file", ".copier-answers.yml")
        ref = ("--vcs-ref", f"v{TOMORROW}")
        project.run("copier", "update", "--defaults", *renovate, *ref, **forge)
        assert f"refs/tags/v{TOMORROW}" in tags
    else:
        assert "- Everything changes.\n" in update(project, **forge)

    answers = (project.path / ".copier-answers.yml").read_text()
    assert status["current_version"] == WORKING_TREE
    assert status["latest_version"] == TOMORROW
    assert f"_src_path: {address}\n" in answers
    assert f"_commit: v{TOMORROW}\n" in answers
    assert_clean(project)
