"""The file `.env`: where it is, whether all of it can be read, and names without effect."""

import os
from collections.abc import Collection, Iterator
from io import StringIO
from pathlib import Path

from dotenv.parser import Binding, parse_stream
from dotenv.variables import Variable, parse_variables

# The same file wherever the service is started from.
ENV_FILE = Path(__file__).parents[2] / ".env"
ENCODING = "utf-8-sig"  # Some editors start the file with a byte order mark.


def unreadable_lines(path: Path) -> Iterator[str]:
    """Yield a sentence for each line that python-dotenv would skip or change.

    It only warns about what it skips, such as the URL of the database, and the service would
    run on a default. From a password, it drops a ${…} that names no variable, even within
    single quotes, and it has no escape for it.
    """
    if not path.is_file():
        return
    try:
        text = path.read_text(ENCODING)
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        yield f"{path}: is not encoded in UTF-8"
        return
    known = {*os.environ}
    for binding in parse_stream(StringIO(text)):
        where = f"{path}, line {_line(binding)}"
        if binding.error:
            yield f"{where}: is not NAME=value, or a quote in it is not closed"
        if not known.issuperset(_variables(binding.value or "")):
            # Not the name that it refers to: it may be a part of a password.
            yield (
                f"{where}: names a variable in braces that is not set; if that is part "
                f"of the value, set {binding.key} in the environment instead"
            )
        known.add(binding.key or "")


def misspelled_names(path: Path, settings: Collection[str]) -> Iterator[str]:
    """Yield a sentence for each name that is nearly that of a setting nobody has set.

    The environment and the file are for other programs too, so any other unknown name is
    left alone.
    """
    from difflib import get_close_matches  # Loaded only where a service starts.

    # A group has a name for each of its parts.
    places = {
        name.upper().split("__")[0]: place for name, place in _names_and_places(path)
    }
    known = {name.upper() for name in settings}
    for name in [name for name in places if name not in known]:
        for setting in get_close_matches(name, known - places.keys(), n=1, cutoff=0.9):
            yield f"{places[name]}: {name} has no effect; is it {setting}?"


def _names_and_places(path: Path) -> Iterator[tuple[str, str]]:
    """Yield what the environment and the file set; an empty value counts as not set."""
    for name, value in os.environ.items():
        if value:
            yield name, "environment"
    if path.is_file():
        for binding in parse_stream(StringIO(path.read_text(ENCODING))):
            if binding.key and binding.value:
                yield binding.key, f"{path}, line {_line(binding)}"


def _line(binding: Binding) -> int:
    original = binding.original
    before = len(original.string) - len(original.string.lstrip())
    return original.line + original.string.count("\n", 0, before)


def _variables(value: str) -> Iterator[str]:
    """Yield the names that a value refers to without a default."""
    for atom in parse_variables(value):
        if isinstance(atom, Variable) and atom.default is None:
            yield atom.name
