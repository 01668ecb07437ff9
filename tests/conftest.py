"""Projects rendered from the working tree, once for each combination of answers."""

import fcntl
import functools
import hashlib
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from jinja2 import Environment
from pytest_copie.plugin import Copie

from tests.harness.answers import DEFAULTS
from tests.harness.history import make_history
from tests.harness.processes import once, shared_directory
from tests.harness.project import ROOT, Project
from tests.harness.types import Measure, Render

# In a shell's background job, Ctrl-C is ignored, and would be by each program of a test. A
# program does not inherit a handler, but starts with the default.
signal.signal(signal.SIGINT, signal.default_int_handler)
# Copier compiles the name of a directory again for each file below it, thousands of times in
# an update. An environment always compiles a text to the same code.
Environment.compile = functools.lru_cache(maxsize=2_000)(Environment.compile)


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
def render(
    template: Path, copie_session: Copie, tmp_path_factory: pytest.TempPathFactory
) -> Render:
    """Render with the default answers, but for those named. Not to be changed by a test."""
    directory = shared_directory(tmp_path_factory, "rendered")

    def render(**answers: object) -> Project:
        key = json.dumps({**DEFAULTS, **answers}, sort_keys=True)
        path = directory / hashlib.sha256(key.encode()).hexdigest()[:16]
        with once(path) as is_first:
            if is_first:
                result = copie_session.copy(
                    extra_answers=answers, template_dir=template
                )
                if result.exception is not None:
                    raise result.exception
                # The process that rendered it deletes its own when it ends.
                shutil.move(result.project_dir, path)
        return Project(path)

    return render


@pytest.fixture(scope="session")
def installed(render: Render, tmp_path_factory: pytest.TempPathFactory) -> Render:
    """The same, a git repository with its dependencies installed."""
    projects: dict[Path, Project] = {}

    def installed(**answers: object) -> Project:
        rendered = render(**answers)
        if rendered.path not in projects:
            project = rendered.copy(tmp_path_factory.mktemp("installed") / "it")
            project.git("init", "--quiet")
            project.run("uv", "sync", "--quiet")
            projects[rendered.path] = project
        return projects[rendered.path]

    return installed


@pytest.fixture(scope="session")
def history(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The template's repository with all of its versions, as Copier sees them."""
    path = shared_directory(tmp_path_factory, "history") / "template"
    with once(path) as is_first:
        return make_history(path) if is_first else Project(path)


@pytest.fixture
def measure(record_property: Callable[[str, object], None]) -> Measure:
    """Print what a test measured at the end of the run."""
    return lambda text: record_property("measure", text)


@pytest.fixture
def port_8000() -> Generator[None]:
    """Have the port that the pages name, of all tests that want it one at a time."""
    with Path(tempfile.gettempdir(), "port-8000.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def pytest_configure() -> None:
    for program in ("git", "uv"):
        if shutil.which(program) is None:
            raise pytest.UsageError(f"{program} is not on the PATH: run make test.")
    # What the machine sets for services of its own must not reach the rendered ones.
    for name in ("DATABASE_URL", "ENVIRONMENT", "DEBUG", "VIRTUAL_ENV"):
        os.environ.pop(name, None)
    # Images set it to stay small. Here, a thousand processes would each compile all they
    # import.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the report of a test know which promise it keeps."""
    for item in items:
        for mark in item.iter_markers("promise"):
            item.user_properties.append(("promise", mark.args[0]))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the tests measured, for the release notes."""
    reports = [
        report
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, [])
    ]
    updates = [report for report in reports if "update" in dict(report.user_properties)]
    if updates:
        clean = sum(report.passed for report in updates)
        terminalreporter.write_line(
            f"{clean} of {len(updates)} updates (version, path and edits) were clean, "
            "lost no edit and missed no change."
        )
    measured = [
        (promise, properties["measure"])
        for report in reports
        if "measure" in (properties := dict(report.user_properties))
        for promise in [
            value for name, value in report.user_properties if name == "promise"
        ]
        or [""]
    ]
    if measured:
        terminalreporter.write_line("promise  measured")
    for promise, text in sorted(measured, key=lambda row: (row[0] or 99, row[1])):
        terminalreporter.write_line(f"{promise:>7}  {text}")
