"""What the pages of the documentation show, to be done by tests."""

import re
import textwrap
from pathlib import Path

from tests.harness.project import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
HOW_TO = ROOT / "docs" / "how-to.md"


def blocks(text: str, language: str) -> list[str]:
    """Return the fenced blocks of a language, in order and without their indentation."""
    pattern = rf"^( *)```{language}\n(.*?)^\1```$"
    found = re.findall(pattern, text, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(block) for _, block in found]


def section(page: Path, heading: str) -> str:
    """Return what stands under a heading, up to the next of its level or above."""
    text = page.read_text()
    level = re.search(rf"^(#+) {re.escape(heading)}$", text, re.MULTILINE)
    assert level is not None, f"{page.name} has no heading “{heading}”."
    rest = text[level.end() :]
    end = re.search(rf"^#{{1,{len(level[1])}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest
