"""Every rendered file has one owner, and the reference says which."""

import re
from pathlib import Path

import pytest

from tests.harness.answers import CONFIGURATION
from tests.harness.combinations import ALL, name
from tests.harness.owners import ANCHOR, is_the_team_s, team_owned
from tests.harness.project import ROOT
from tests.harness.types import Render


def documented() -> dict[str, list[str]]:
    """Return the patterns of each owner, as the reference lists them."""
    rows = re.findall(
        r"^\| (template|shared|team) \| (.*) \|$",
        (ROOT / "docs" / "reference.md").read_text(),
        re.MULTILINE,
    )
    return {owner: re.findall("`([^`]+)`", patterns) for owner, patterns in rows}


def required() -> list[str]:
    """Return the team's files that are rendered whenever they are not there."""
    return CONFIGURATION["_skip_if_exists"]


def matches(path: Path, pattern: str) -> bool:
    if pattern.endswith("/**"):
        return path.is_relative_to(pattern.removesuffix("/**"))
    return path.parent == Path(pattern).parent and path.match(pattern)


@pytest.mark.parametrize("answers", ALL, ids=name)
def test_every_file_has_the_owner_that_the_reference_names(
    render: Render, answers: dict[str, object]
) -> None:
    project = render(**answers)
    for path in project.files():
        owner = "template"
        if is_the_team_s(path) or any(matches(path, owned) for owned in required()):
            owner = "team"
        elif ANCHOR in (project.path / path).read_text():
            owner = "shared"

        # The settings are shared, within a folder that is the template's.
        named = {
            key
            for key, patterns in documented().items()
            if any(matches(path, pattern) for pattern in patterns)
        }

        assert named - ({"template"} if path.name == "config.py" else set()) == {
            owner
        }, path


def test_every_pattern_of_the_reference_names_a_file(render: Render) -> None:
    files = [
        path
        for ci in ("github", "gitlab")
        for path in render(
            ci=ci, kubernetes=True, auth="oidc", jobs=True, telemetry=True
        ).files()
    ]

    for patterns in documented().values():
        for pattern in patterns:
            assert any(matches(path, pattern) for path in files), pattern


def test_every_path_that_updates_leave_alone_is_rendered(render: Render) -> None:
    files = render(ci="github").files()
    for owned in team_owned():
        assert any(path.is_relative_to(owned) for path in files), owned
