"""Splits Python source into tokens, f-strings included, on every version of Python."""

import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

Kind = Literal["name", "string", "comment", "newline", "other"]
KINDS: dict[int, Kind] = {
    tokenize.NAME: "name",
    tokenize.STRING: "string",
    tokenize.COMMENT: "comment",
    tokenize.NEWLINE: "newline",
}
ESCAPES = ("\\", "{" * 2, "}" * 2)
SKIPPED = {tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
STRING = re.compile(r"""('{3}|"{3}|'|").*?\1""", re.DOTALL)


@dataclass(frozen=True)
class Token:
    """A piece of source, and where it starts in it."""

    kind: Kind
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


def tokens_of(source: str) -> Iterator[Token]:
    """Yield the tokens of a module. An f-string is one token, as any string is."""
    starts = [0, *accumulate(map(len, io.StringIO(source)))]
    depth, opened = 0, 0
    for kind, text, start_at, end_at, _ in tokenize.generate_tokens(
        io.StringIO(source).readline
    ):
        start = starts[start_at[0] - 1] + start_at[1]
        end = starts[end_at[0] - 1] + end_at[1]
        # The parts of an f-string are tokens since Python 3.12, of a t-string since 3.14.
        name = tokenize.tok_name[kind]
        if name in ("FSTRING_START", "TSTRING_START"):
            opened = opened if depth else start
            depth += 1
        elif name in ("FSTRING_END", "TSTRING_END"):
            depth -= 1
            if not depth:
                yield Token("string", source[opened:end], opened)
        elif not depth and kind not in SKIPPED:
            yield Token(KINDS.get(kind, "other"), text, start)


def split_fstring(body: str) -> Iterator[tuple[str, bool]]:
    """Yield the parts of the inside of an f-string, and whether each is an expression."""
    literal, position = 0, 0
    while position < len(body):
        if body.startswith(ESCAPES, position):
            position += 2
        elif body[position] == "{":
            end = _end_of_expression(body, position + 1)
            yield body[literal : position + 1], False
            yield body[position + 1 : end], True
            literal = position = end
        else:
            position += 1
    yield body[literal:], False


def _end_of_expression(body: str, start: int) -> int:
    """Return where an expression ends: before its conversion, format or brace."""
    depth, position = 0, start
    while position < len(body):
        character = body[position]
        if string := STRING.match(body, position):
            position = string.end()
            continue
        if not depth and (character in ":}" or re.match("![rsa][:}]", body[position:])):
            return position
        depth += (character in "([{") - (character in ")]}")
        position += 1
    return position
