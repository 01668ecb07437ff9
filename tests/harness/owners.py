"""Which rendered files an update leaves alone, as copier.yml declares."""

import re
from pathlib import Path

from tests.harness.project import ROOT

ANCHOR = "Yours from here on: an update changes only what is above this line."


def is_the_team_s(path: Path) -> bool:
    """Return whether an update leaves a path alone, by the declaration of copier.yml."""
    return any(path.is_relative_to(owned) for owned in team_owned())


def team_owned() -> list[str]:
    """Return what is rendered once: an update excludes it."""
    return _excluded("update")


def moved() -> list[str]:
    """Return the old paths of modules that moved: only an update keeps them."""
    return _excluded("copy")


def _excluded(operation: str) -> list[str]:
    text = (ROOT / "copier.yml").read_text()
    condition = f'_copier_operation == "{operation}" %}}'
    (block,) = re.findall(rf"{re.escape(condition)}\n(.*?)# {{% endif", text, re.DOTALL)
    return block.split()
