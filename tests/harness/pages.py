"""What the pages of the documentation show, to be done by tests."""

import re
import textwrap
from collections.abc import Generator, Sequence
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


def steps(page: Path) -> Generator[tuple[str, str, str]]:
    """Yield each block of a page: its language, its text and the file named before it."""
    pattern = re.compile(
        r"`([\w/]+\.py)`|^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL
    )
    path = ""
    for match in pattern.finditer(page.read_text()):
        if match[1]:
            path = match[1]
        else:
            yield match[2], match[3], path


def apply(difference: str, path: Path) -> None:
    """Make the change that a block shows; what it is beside must be there once."""
    lines = difference.splitlines(keepends=True)
    before = "".join(line[1:] for line in lines if line[0] in " -")
    after = "".join(line[1:] for line in lines if line[0] in " +")
    text = path.read_text()
    assert text.count(before) == 1, (path, before)
    path.write_text(text.replace(before, after))
