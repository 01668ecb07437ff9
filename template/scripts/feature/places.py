"""Tells for each token of a module what it is there: an attribute, an argument, a key."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from keyword import iskeyword

from feature.tokens import Token

NO_TOKEN = Token("other", "", 0)
GETTERS = {"get", "pop", "setdefault"}


@dataclass(frozen=True)
class Bracket:
    """An open bracket and the name before it: `called(` or `owner.called(`."""

    text: str = ""
    called: str = ""
    owner: str = ""
    argument: str = ""
    is_index: bool = False
    is_definition: bool = False


@dataclass(frozen=True)
class Place:
    """A token, those around it, and what they belong to."""

    token: Token
    before: Sequence[Token]
    after: Sequence[Token]
    brackets: Sequence[Bracket]
    # The first token of the statement.
    statement: str
    in_import_path: bool

    @property
    def owner(self) -> str | None:
        """The token before the dot of an attribute, or None if it is not one."""
        if self.before[-1].text != ".":
            return None
        return self.before[-2].text

    @property
    def is_argument_name(self) -> bool:
        bracket = self.brackets[-1]
        return (
            self.after[0].text == "="
            and bracket.text == "("
            and not bracket.is_definition
        )

    @property
    def argument(self) -> str:
        """The name of the argument whose value this is, if it has one."""
        return _argument(self.before)

    @property
    def is_key(self) -> bool:
        """Whether it is an index, a key of a dictionary or an element of a set."""
        bracket, before = self.brackets[-1], self.before[-1].text
        after, next_after = (token.text for token in self.after[:2])
        return (
            (bracket.is_index and before == "[" and after == "]")
            or (bracket.text == "{" and (after == ":" or before in ("{", ",")))
            or (bracket.owner != "" and bracket.called in GETTERS and before == "(")
            or after == "in"
            or (after, next_after) == ("not", "in")
        )


def places_of(tokens: Sequence[Token]) -> Iterator[Place]:
    """Yield the place of each token in its module."""
    padded = [NO_TOKEN] * 3 + [*tokens] + [NO_TOKEN] * 2
    brackets = [Bracket()]
    statement, in_path = "", False
    for index, token in enumerate(tokens, start=3):
        before, after = padded[index - 3 : index], padded[index + 1 : index + 3]
        statement = statement or token.text
        if token.text in ("from", "import") and len(brackets) == 1:
            in_path = token.text == statement
        yield Place(token, before, after, brackets, statement, in_path)
        if token.kind == "newline":
            statement, in_path = "", False
        elif token.text in ("(", "[", "{"):
            brackets.append(_opened(token.text, before))
        elif token.text in (")", "]", "}"):
            brackets.pop()


def _argument(before: Sequence[Token]) -> str:
    name, equals = before[-2:]
    return name.text if equals.text == "=" else ""


def _opened(text: str, before: Sequence[Token]) -> Bracket:
    name = before[-1]
    if name.kind != "name" or iskeyword(name.text):
        is_index = text == "[" and name.text in (")", "]")
        return Bracket(text, argument=_argument(before), is_index=is_index)
    owner = before[-3].text if before[-2].text == "." else ""
    is_definition = before[-2].text in ("def", "class")
    return Bracket(
        text, name.text, owner, is_index=text == "[", is_definition=is_definition
    )
