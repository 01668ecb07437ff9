"""The file `.env`: where it is, and whether all of it can be read."""

from collections.abc import Iterator
from io import StringIO
from pathlib import Path

from dotenv.parser import parse_stream

# The same file wherever the service is started from.
ENV_FILE = Path(__file__).parents[2] / ".env"
ENCODING = "utf-8-sig"  # Some editors start the file with a byte order mark.


def unreadable_lines(path: Path) -> Iterator[str]:
    """Yield a sentence for each line that python-dotenv would skip with only a warning.

    The service would then run on a default, such as the local PostgreSQL.
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
    for binding in parse_stream(StringIO(text)):
        if binding.error:
            original = binding.original
            before = len(original.string) - len(original.string.lstrip())
            line = original.line + original.string.count("\n", 0, before)
            yield (
                f"{path}, line {line}: is not NAME=value, "
                "or a quote in it is not closed"
            )
