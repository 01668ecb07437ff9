"""Every combination of answers, as a reviewer reads the files."""

import ast
import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.harness.combinations import ALL, LICENSES, PAIRWISE, name
from tests.harness.project import Project
from tests.harness.types import Render

PAGES = {
    "code.py",
    "compiled_pages.py",
    "openapi.json",
    "api_changes.py",
    "test_api_changes.py",
    "test_api_document.py",
    "pagination.py",
    "pool.py",
    "test_compiled_rows.py",
    "test_keysets.py",
    "test_pagination.py",
}

every_combination = pytest.mark.parametrize("answers", ALL, ids=name)


@every_combination
def test_every_file_parses_and_shows_no_trace_of_jinja(
    render: Render, answers: dict[str, object]
) -> None:
    project = render(**answers)
    parsers = {".py": ast.parse, ".toml": tomllib.loads}
    parsers[".yml"] = parsers[".yaml"] = lambda text: list(yaml.safe_load_all(text))
    parsers[".json"] = json.loads

    for path in project.files():
        text = (project.path / path).read_text()
        parsers.get(path.suffix, str)(text)
        # GitHub's own expressions are written ${{ … }}.
        assert not re.search(r"(?<!\$)\{\{|\{%|%\}", text), path
        assert not re.search(r"[^\S\n]\n|\n\n\n\n", text), path
        assert text.endswith("\n") or not text, path
        assert not text.endswith("\n\n"), path


@every_combination
def test_the_code_is_formatted_and_clean_as_it_is_rendered(
    render: Render, installed: Render, answers: dict[str, object]
) -> None:
    project = render(**answers)
    # It has the dependencies of every answer.
    everything = installed(kubernetes=True, auth="oidc", jobs=True, telemetry=True)
    programs = everything.path / ".venv" / "bin"

    project.run(programs / "ruff", "format", "--check", "--no-cache")
    project.run(programs / "ruff", "check", "--no-cache")
    project.run(programs / "ty", "check", "--python", programs / "python")


@pytest.mark.parametrize("answers", PAIRWISE, ids=name)
def test_importing_the_service_opens_no_connection(
    render: Render, installed: Render, answers: dict[str, object]
) -> None:
    project = render(**answers)
    program = (
        "import socket, sys\n"
        "socket.socket.connect = lambda *_: sys.exit('connected')\n"
        "import app.main, app.models\n"
    )

    project.run(
        installed(kubernetes=True, auth="oidc", jobs=True, telemetry=True).path
        / ".venv"
        / "bin"
        / "python",
        *("-B", "-W", "error", "-c", program),
        DATABASE_URL="postgresql://nobody@127.0.0.1/none",
        PYTHONPATH=str(project.path),
    )


@pytest.mark.parametrize("license", LICENSES)
def test_the_license_is_the_one_that_was_chosen_and_changes_nothing_else(
    render: Render, license: str
) -> None:
    project, other = render(license=license), render(license="MIT")
    texts = {
        "MIT": "MIT License",
        "Apache-2.0": "Apache License",
        "proprietary": "All rights reserved",
    }

    text = (project.path / "LICENSE").read_text()
    metadata = tomllib.loads((project.path / "pyproject.toml").read_text())["project"]

    assert [key for key, words in texts.items() if words in text] == [license]
    assert metadata["license"].removeprefix("LicenseRef-").lower() == license.lower()
    assert project.files() == other.files()
    changed = {
        line
        for path in project.files()
        if path.name not in ("LICENSE", ".copier-answers.yml")
        for line in {*(project.path / path).read_text().splitlines()}
        ^ {*(other.path / path).read_text().splitlines()}
    }
    for line in changed:
        assert re.search(f'"(LicenseRef-)?({license}|MIT)"', line, re.IGNORECASE), line


@pytest.mark.parametrize("auth", ["none", "oidc"])
def test_without_the_example_nothing_speaks_of_it(render: Render, auth: str) -> None:
    project = render(example=False, auth=auth, jobs=auth == "none")

    for path in project.files():
        # The parts of a page, of an array in JSON Schema and of a queue are items too.
        if path.name in PAGES:
            continue
        text = f"{path}\n{(project.path / path).read_text()}"
        assert not re.search(
            r"\b(items?|Items?)\b", text.replace("to item", "").replace(".items()", "")
        ), path


def test_the_readme_is_short_and_its_paths_exist(render: Render) -> None:
    project = render()
    readme = (project.path / "README.md").read_text()

    assert len(readme.splitlines()) <= 80
    for path in re.findall(r"^\| `([^`]+)`", readme, re.MULTILINE):
        assert (project.path / path).exists(), path


def test_no_secret_and_nothing_that_changes_by_itself_is_rendered(
    render: Render,
) -> None:
    paths = render().files()

    assert Path(".env") not in paths
    assert Path("uv.lock") not in paths


def test_additions_of_the_team_end_up_below_the_anchors(
    render: Render, tmp_path: Path
) -> None:
    project: Project = render().copy(tmp_path / "project")

    project.run("uv", "add", "--quiet", "--no-sync", "attrs")
    project.run("uv", "add", "--quiet", "--no-sync", "--dev", "hypothesis")

    before = (render().path / "pyproject.toml").read_text().splitlines()
    after = (project.path / "pyproject.toml").read_text().splitlines()
    added = [line for line in after if line not in before]
    assert [re.split('["=>]', line)[1] for line in added] == ["attrs", "hypothesis"]
    for line in added:
        assert "# Yours from here on" in after[after.index(line) - 1]
