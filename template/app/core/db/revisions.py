"""The revisions of this release, read without loading Alembic."""

import re
from ast import literal_eval
from configparser import ConfigParser
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

VALUE = r"""None|"[^"]*"|'[^']*'|\([^()]*\)"""
ASSIGNMENT = re.compile(
    rf"^(revision|down_revision)(?:: [^=\n]+)? = ({VALUE})$", re.MULTILINE
)
DEPENDENCY = re.compile(r"^depends_on\b(?!.* = None$)", re.MULTILINE)
# The beginnings of names that Alembic skips.
NO_REVISIONS = ("__init__", ".#")
# Settings that lead to other files.
LOCATIONS = ("version_locations", "recursive_version_locations", "sourceless")


class Revisions(NamedTuple):
    """The newest revisions and all of them."""

    heads: frozenset[str]
    known: frozenset[str]


def read_revisions(ini: Path) -> Revisions:
    """Return the revisions of an `alembic.ini`.

    Alembic itself, which takes a sixth of the time to start a service, is loaded only for
    files that are not as it writes them. It says what is wrong with those that are broken.
    """
    with suppress(KeyError, OSError, SyntaxError, ValueError):
        if revisions := _read(ini):
            return revisions
    return _ask_alembic(ini)


def _read(ini: Path) -> Revisions | None:
    """Return the revisions if all files are as Alembic writes them."""
    config = ConfigParser({"here": str(ini.parent)})
    config.read(ini)
    options = config["alembic"]
    if any(name in options for name in LOCATIONS):
        return None
    versions = Path(options["script_location"]) / "versions"
    if not versions.is_dir():  # A directory of a package, which Alembic finds.
        return None
    known, superseded = set(), set()
    for path in versions.glob("*.py"):
        if path.name.startswith(NO_REVISIONS):
            continue
        text = path.read_text("utf-8")
        found = ASSIGNMENT.findall(text)
        assigned = dict(found)
        # Two of a name: one may be part of a text.
        if len(found) != 2 or assigned.keys() != {"revision", "down_revision"}:
            return None
        if DEPENDENCY.search(text):
            return None
        before = literal_eval(assigned["down_revision"])
        revision = literal_eval(assigned["revision"])
        known.add(revision)
        superseded |= {before} if isinstance(before, str) else set(before or ())
    return Revisions(frozenset(known - superseded), frozenset(known))


def _ask_alembic(ini: Path) -> Revisions:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(Config(ini))
    revisions = list(scripts.walk_revisions())
    # A database has no row for a head that another revision depends on.
    implied = {
        dependency.revision
        for revision in revisions
        for dependency in scripts.get_revisions(revision.dependencies or ())
    }
    return Revisions(
        frozenset(scripts.get_heads()) - implied,
        frozenset(revision.revision for revision in revisions),
    )
