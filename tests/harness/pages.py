"""What the pages of the documentation show, to be done by tests."""

import re
import textwrap
from collections.abc import Sequence
from pathlib import Path

from tests.harness.project import ROOT

PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
HOW_TO = sorted((ROOT / "docs" / "how-to").glob("*.md"))


def blocks(text: str, language: str) -> list[str]:
    """Return the fenced blocks of a language, in order and without their indentation."""
    pattern = rf"^( *)```{language}\n(.*?)^\1```$"
    found = re.findall(pattern, text, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(block) for _, block in found]


def section(pages: Sequence[Path], heading: str) -> str:
    """Return the text under a heading that exactly one of the pages has.

    It ends before the next heading of the same level or a higher one.
    """
    (text,) = (
        text
        for page in pages
        for text in [page.read_text()]
        if re.search(rf"^#+ {re.escape(heading)}$", text, re.MULTILINE)
    )
    level = re.search(rf"^(#+) {re.escape(heading)}$", text, re.MULTILINE)
    assert level is not None
    rest = text[level.end() :]
    end = re.search(rf"^#{{1,{len(level[1])}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def anchors(page: Path) -> set[str]:
    """Return the targets that a link to the page may name, as GitHub derives them."""
    fenced = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
    text = fenced.sub("", page.read_text())
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    words = (re.sub(r"\]\(.*?\)|[^\w\- ]", "", line.lower()) for line in headings)
    explicit = re.findall(r'<a id="([^"]+)"></a>', text)
    return {*(word.replace(" ", "-") for word in words), *explicit}
