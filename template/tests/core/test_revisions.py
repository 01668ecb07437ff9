"""The revisions of a release, read as Alembic reads them."""

import subprocess
import sys
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from app.core.db.revisions import Revisions, read_revisions

ROOT = Path(__file__).parents[2]
OLD = '"""Start."""\n\nrevision = "a"\ndown_revision = None\ndepends_on = None\n'
OTHER = OLD.replace('"a"', '"other"')


def history(directory: Path, *, settings: str = "", **revisions: str) -> Path:
    """Write revisions, and return the path of their `alembic.ini`."""
    (directory / "versions").mkdir()
    ini = directory / "alembic.ini"
    location = "script_location = %(here)s\nfile_template = %%(slug)s"
    ini.write_text(f"[alembic]\n{location}\npath_separator = os\n{settings}")
    for name, text in revisions.items():
        path = directory / "versions" / f"{name}.py"
        path.write_text(text, encoding="latin-1")
    return ini


@pytest.mark.parametrize(
    "revisions",
    [
        {},
        {"a": OLD},
        {"a": OLD, "b": "revision: str = 'b'\ndown_revision: str | None = 'a'\n"},
        {
            "a": OLD,
            "b": 'revision = "b"\ndown_revision = "a"\n',
            "c": 'revision = "c"\ndown_revision = "a"\n',
        },
        {
            "a": OLD,
            "b": 'revision = "b"\ndown_revision = "a"\n',
            "c": 'revision = "c"\ndown_revision = "a"\n',
            "d": 'revision = "d"\ndown_revision = (\n    "b",\n    "c",\n)\n',
        },
        {"a": OLD, "b": "revision, down_revision = 'b', 'a'\n"},
        {"a": OLD, "b": "revision = 'b' + ''\ndown_revision = 'a'\n"},
        {"a": OLD, "__init__": "", "b": "down_revision = 'a'\nrevision = 'b'\n"},
        {"a": OLD, "_b": "revision = 'b'\ndown_revision = 'a'\n"},
        {"a": f"{OLD}SQL = '''\n{OTHER}'''\n"},
        {"a": OLD, "b": "revision = 'b'\ndown_revision = ('a' + '')\n"},
        {"a": f"# coding: latin-1\n# \xfc\n{OLD}"},
    ],
    ids=[
        "none",
        "one",
        "typed",
        "two-heads",
        "merged",
        "odd",
        "computed",
        "reversed",
        "hidden",
        "quoted",
        "in-parentheses",
        "latin-1",
    ],
)
def test_the_revisions_are_those_that_alembic_finds(
    tmp_path: Path, revisions: dict[str, str]
) -> None:
    ini = history(tmp_path, **revisions)
    scripts = ScriptDirectory.from_config(Config(ini))

    assert read_revisions(ini) == Revisions(
        frozenset(scripts.get_heads()),
        frozenset(script.revision for script in scripts.walk_revisions()),
    )


def test_a_directory_is_no_revision(tmp_path: Path) -> None:
    ini = history(tmp_path, a=OLD)
    (tmp_path / "versions" / "b.py").mkdir()

    assert read_revisions(ini) == Revisions(frozenset("a"), frozenset("a"))


@pytest.mark.parametrize("settings", ["[other]", "[alembic]"])
def test_alembic_says_what_its_settings_lack(tmp_path: Path, settings: str) -> None:
    ini = tmp_path / "alembic.ini"
    ini.write_text(settings)

    with pytest.raises(CommandError, match="No 'script_location' key found"):
        read_revisions(ini)


def test_revisions_elsewhere_are_found(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.py").write_text(OLD)
    ini = history(tmp_path, settings="version_locations = %(here)s/elsewhere")

    assert read_revisions(ini) == Revisions(frozenset("a"), frozenset("a"))


@pytest.mark.parametrize("dependency", ['"a"', "['a']", '("a",)'])
def test_a_head_that_another_revision_depends_on_is_implied(
    tmp_path: Path, dependency: str
) -> None:
    other = f'revision = "b"\ndown_revision = None\ndepends_on = {dependency}\n'
    ini = history(tmp_path, a=OLD, b=other)

    assert read_revisions(ini) == Revisions(frozenset("b"), frozenset("ab"))


def test_revisions_of_a_package_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "migrations_of_a_package"
    package.mkdir()
    (package / "__init__.py").touch()
    ini = history(package, a=OLD)
    location = f"script_location = {package.name}:"
    ini.write_text(ini.read_text().replace("script_location = %(here)s", location))
    monkeypatch.syspath_prepend(tmp_path)

    assert read_revisions(ini) == Revisions(frozenset("a"), frozenset("a"))


def test_a_service_answers_without_what_only_its_commands_need() -> None:
    program = "import sys, app.core.health as h; h._revisions(); print(*sys.modules)"

    loaded = subprocess.run(
        [sys.executable, "-c", f"import app.main; {program}"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()

    assert not {"alembic", "mako"} & set(loaded)
