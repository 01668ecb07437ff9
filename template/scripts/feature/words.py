"""Finds a feature's name in text and replaces it, in any case and with any separator."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

# An escape such as \n is a match of its own: its letter is not part of the next word.
WORD = re.compile(
    r"\\[abfnrtv]|[A-Z]+(?![a-z])[0-9]*|[A-Z]?[a-z]+[0-9]*|[0-9]+", re.ASCII
)
# A digit ends a word, so that a name in CapWords has the same words.
NAME = re.compile("[a-z]+[0-9]*(_[a-z]+[0-9]*)*")
# Nouns whose plural cannot be told from their spelling.
IRREGULAR = re.compile(
    r"aircraft|child|criteri(a|on)|data|datum|equipment|feedback|fish|foot|goose|hardware"
    r"|information|media|medium|money|mouse|ox|person|phenomenon|sheep|software|tooth"
    r"|.*([^s]s|z|f|fe|o|man|[ei]x|[ao]r?ch)"
)
AN = re.compile(r"(?!eu|one|uni|us[aeu])[aeiou]|hei|hon|hour")
# In such a path, a name has underscores; in a URL, it has hyphens.
FOLDERS = ("app/", "models/", "tests/")


def words_of(name: str) -> tuple[str, ...]:
    """Return the words of a name in lower case."""
    return tuple(word.lower() for word in WORD.findall(name))


def class_name(name: str) -> str:
    """Return the name in CapWords."""
    return "".join(map(str.capitalize, words_of(name)))


def plural_of(name: str) -> str | None:
    """Return the plural of a name in snake_case, or None if it cannot be told."""
    if IRREGULAR.fullmatch(name.rpartition("_")[2]):
        return None
    if re.search("[^aeiou]y$", name):
        return f"{name[:-1]}ies"
    return f"{name}es" if re.search("(s|x|ch|sh)$", name) else f"{name}s"


@dataclass(frozen=True)
class Name:
    """What a feature is called, in snake_case."""

    singular: str
    plural: str


class Renaming:
    """Replaces the name of a feature, but not where it is part of one of `others`."""

    def __init__(self, old: Name, new: Name, others: Iterable[str]) -> None:
        self.old, self.new = old, new
        self._names: dict[tuple[str, ...], str | None] = {
            **dict.fromkeys(map(words_of, (*others, new.plural, new.singular))),
            words_of(old.plural): new.plural,
            words_of(old.singular): new.singular,
        }
        self._longest = max(map(len, self._names))

    def __call__(self, text: str, *, prose: bool = False) -> str:
        """Return the text with the new name: "floor lamps" in prose, else `floor_lamps`."""
        words = list(WORD.finditer(text))
        result, copied, index = "", 0, 0
        while index < len(words):
            count, name = self._name_at(words[index:], text)
            start, end = words[index].start(), words[index + count - 1].end()
            if name and (styled := _in_style_of(text, start, end, name, prose=prose)):
                result += _with_article(text[copied:start], name) + styled
                copied = end
            index += count
        return result + text[copied:]

    def _name_at(
        self, words: Sequence[re.Match[str]], text: str
    ) -> tuple[int, str | None]:
        """Return the number of words of the longest name here, and what replaces it."""
        for count in range(min(self._longest, len(words)), 0, -1):
            phrase = words[:count]
            gaps = {
                text[left.end() : right.start()] for left, right in pairwise(phrase)
            }
            name = tuple(word[0].lower() for word in phrase)
            if name in self._names and _joins(gaps):
                return count, self._names[name]
        return 1, None


def _joins(gaps: set[str]) -> bool:
    return gaps <= {""} or gaps <= {"_"} or gaps <= {"-"} or "".join(gaps).isspace()


def _in_style_of(
    text: str, start: int, end: int, name: str, *, prose: bool
) -> str | None:
    """Return the name as text[start:end] is written, or None for a word of SQL."""
    old, before, after = text[start:end], text[:start], text[end:]
    separator = _separator(old, before, after, prose=prose)
    words = name.split("_")
    if re.match(r"\s+by\b", after, re.IGNORECASE):
        return None  # ORDER BY, GROUP BY
    if old.isupper():
        return (separator or "_").join(words).upper()
    if separator == " ":
        phrase = " ".join(words)
        return phrase[0].upper() + phrase[1:] if old[0].isupper() else phrase
    if old[0].isupper():
        words[0] = words[0].capitalize()
    if old[0].isupper() or not separator:
        words[1:] = map(str.capitalize, words[1:])
    return separator.join(words)


def _separator(old: str, before: str, after: str, *, prose: bool) -> str:
    """Return what separates the words of a name that replaces `old` here."""
    if inside := re.search(r"[^a-zA-Z0-9]", old):
        return " " if inside[0].isspace() else inside[0]
    is_camel = old[0].isupper() or after[:1].isupper()
    if len(words_of(old)) > 1 or re.search(r"\w$", before) or re.match(r"\w", after):
        return "" if is_camel and not old.isupper() else "_"
    if before.endswith(FOLDERS):
        return "_"
    if re.search(r"/$|\w-$", before) or re.match(r"-\w", after):
        return "-"
    in_code = re.search(r"\w\.$|[`{]$", before) or re.match(r"\.\w|[`(=}]", after)
    if prose and not in_code:
        return " "
    return "" if old[0].isupper() else "_"


def _with_article(before: str, name: str) -> str:
    """Return the text before a name with the article that the name needs."""
    article = re.search(r"(?<![a-zA-Z0-9])(an?)([_\s]+)$", before, re.IGNORECASE)
    if not article:
        return before
    needed = "an" if AN.match(name) else "a"
    return f"{before[: article.start()]}{article[1][0]}{needed[1:]}{article[2]}"
