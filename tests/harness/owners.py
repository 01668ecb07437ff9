"""Which rendered files an update leaves alone, as copier.yml declares."""

import re
from pathlib import Path

from tests.harness.project import ROOT


def is_the_team_s(path: Path) -> bool:
    """Return whether an update leaves a path alone, by the declaration of copier.yml."""
    return any(path.is_relative_to(owned) for owned in team_owned())


def team_owned() -> list[str]:
    text = (ROOT / "copier.yml").read_text()
    (block,) = re.findall(
        r'_copier_operation == "update" %}\n(.*?)# {% endif', text, re.DOTALL
    )
    return block.split()
