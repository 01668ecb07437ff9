"""The template itself, as its maintainers read it."""

import ast
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.project import ROOT

TEMPLATE = ROOT / "template"
FILES = sorted(
    path.relative_to(TEMPLATE)
    for path in TEMPLATE.rglob("*")
    if path.is_file() and not {"__pycache__", ".ruff_cache"} & set(path.parts)
)
PYTHON = [path for path in FILES if path.name.removesuffix(".jinja").endswith(".py")]


@pytest.mark.parametrize("path", PYTHON, ids=str)
def test_every_python_file_parses_before_it_is_rendered(path: Path) -> None:
    ast.parse((TEMPLATE / path).read_text())


def test_few_files_carry_jinja(record_property: Callable[..., None]) -> None:
    templated = [path for path in FILES if path.suffix == ".jinja"]
    templated_python = [path for path in PYTHON if path.suffix == ".jinja"]

    record_property(
        "measure",
        f"{len(templated)} of {len(FILES)} files carry Jinja, "
        f"{len(templated_python)} of {len(PYTHON)} Python files.",
    )
    assert len(templated) <= 0.25 * len(FILES)
    assert len(templated_python) <= 0.10 * len(PYTHON)


@pytest.mark.parametrize("path", FILES, ids=str)
def test_jinja_is_where_the_suffix_says_and_nowhere_else(path: Path) -> None:
    text = (TEMPLATE / path).read_text()
    # GitHub's own expressions are written ${{ … }}.
    shows_an_answer = bool(re.search(r"(?<!\$)\{\{|# \{%", text + str(path)))

    # Git would obey a file of this name in the template.
    assert (
        shows_an_answer == (path.suffix == ".jinja") or path.name == ".gitignore.jinja"
    )


def test_no_template_owned_file_repeats_itself() -> None:
    """Six lines that stand twice in one file: a merge may put a team's edit in the wrong place."""
    for path in FILES:
        if path.parts[0] == "tests":
            continue
        lines = (TEMPLATE / path).read_text().splitlines()
        windows = [tuple(lines[start : start + 6]) for start in range(len(lines) - 5)]
        assert len(windows) == len(set(windows)), path
