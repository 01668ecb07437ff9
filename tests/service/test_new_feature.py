"""Features that are copied under another name, and used with the project's own commands."""

import re
from pathlib import Path

from tests.harness.pages import apply, steps
from tests.harness.project import ROOT, Project
from tests.harness.types import Render

LIKE_ITEM = [
    "line_item",
    "item_list",
    "item_note",
    "order",  # a word of SQL, and of the code
    "session",  # a parameter of every function that would have such a variable
    "case",  # a soft keyword
    "property",  # a builtin
    "address",
    "person --plural people",
    "news --plural news",
]
LIKE_PRIVACY_REQUEST = [
    "complaint",
    "request",  # a variable of the code
    "privacy_policy",
    "user_privacy_request",
    "history",  # an attribute of the code
    "status_report",
    "api_key",
    "bonus --plural bonuses",
    "child --plural children",
    "x",
]
# A copy of a copy: its names contain those of other features.
LIKE_COPIES = ["invoice --like order", "note --like line_item"]
FEATURES = [
    *(f"{name} --like item" for name in LIKE_ITEM),
    *(f"{name} --like privacy_request" for name in LIKE_PRIVACY_REQUEST),
]


def follow_tutorial(project: Project) -> None:
    """Add the feature that the tutorial builds."""
    for language, block, path in steps(ROOT / "docs" / "tutorial.md"):
        file = project.path / path
        if language == "python":
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block)
        elif language == "diff":
            apply(block, file)
    (project.path / "app" / "privacy_requests" / "__init__.py").touch()


def copy(project: Project, arguments: str) -> str:
    return project.run("python", "scripts/new_feature.py", *arguments.split()).stdout


def test_copies_of_the_example_and_of_the_tutorial_s_feature_pass_all_checks(
    render: Render, tmp_path: Path
) -> None:
    project = render().copy(tmp_path / "project")
    follow_tutorial(project)
    project.git("init", "--quiet")
    project.run("uv", "sync", "--quiet")

    outputs = [copy(project, arguments) for arguments in FEATURES]
    revise, accept = re.findall(r"^ +(uv run .*)$", outputs[-1], re.MULTILINE)
    project.run("ruff", "format", "--check")
    project.run("ruff", "check")
    project.run("ty", "check")
    project.run("bash", "-c", revise)
    tests = project.run("bash", "-c", f"{accept} -q --durations=3 --ignore=tests/core")

    folders = {path.name for path in (project.path / "tests").iterdir()}
    assert len(folders & {path.name for path in (project.path / "app").iterdir()}) == 24
    assert "failed" not in tests.stdout
