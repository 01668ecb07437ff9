"""Projects rendered from the working tree, once for each combination of answers."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_copie.plugin import Copie

from tests.project import Project

ROOT = Path(__file__).parents[1]
Render = Callable[..., Project]


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template as a plain directory: what git does not know yet is rendered too."""
    directory = tmp_path_factory.mktemp("template")
    shutil.copy(ROOT / "copier.yml", directory)
    for name in ("template", "includes"):
        ignore = shutil.ignore_patterns("__pycache__", ".ruff_cache")
        shutil.copytree(ROOT / name, directory / name, ignore=ignore)
    return directory


@pytest.fixture(scope="session")
def render(template: Path, copie_session: Copie) -> Render:
    """Render with the default answers, but for those named. Not to be changed by a test."""
    projects: dict[frozenset[tuple[str, object]], Project] = {}

    def render(**answers: object) -> Project:
        key = frozenset(answers.items())
        if key not in projects:
            result = copie_session.copy(extra_answers=answers, template_dir=template)
            if result.exception is not None:
                raise result.exception
            projects[key] = Project(result.project_dir)
        return projects[key]

    return render


@pytest.fixture(scope="session")
def installed(render: Render, tmp_path_factory: pytest.TempPathFactory) -> Render:
    """The same, a git repository with its dependencies installed."""
    projects: dict[frozenset[tuple[str, object]], Project] = {}

    def installed(**answers: object) -> Project:
        key = frozenset(answers.items())
        if key not in projects:
            project = render(**answers).copy(
                tmp_path_factory.mktemp("installed") / "it"
            )
            project.git("init", "--quiet")
            project.run("uv", "sync", "--quiet")
            projects[key] = project
        return projects[key]

    return installed


def pytest_configure() -> None:
    for program in ("git", "uv"):
        if shutil.which(program) is None:
            raise pytest.UsageError(f"{program} is not on the PATH: run make test.")
    # What the machine sets for services of its own must not reach the rendered ones.
    for name in ("DATABASE_URL", "ENVIRONMENT", "DEBUG", "VIRTUAL_ENV"):
        os.environ.pop(name, None)
