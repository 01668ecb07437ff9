"""Renames a feature in its code: its own identifiers, and its name in strings and comments.

An identifier is renamed only if the feature defines it. So `fields.items()`, `order_by=`
and the key "items" of a page stay as they are.
"""

import builtins
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from feature.definitions import SQL, Definitions
from feature.places import Place, places_of
from feature.tokens import split_fstring, tokens_of
from feature.words import Renaming

# As attributes, the others are methods of Pydantic's models or of SQLAlchemy's.
RESERVED = {
    *dir(builtins),
    "copy",
    "json",
    "metadata",
    "registry",
    "schema",
    "validate",
}
# A dictionary has these too, and a page has `items`, so as attributes they stay.
AMBIGUOUS = {*dir(dict), *dir(list), *dir(str)}
# What has a name that is unique in a schema of the database.
DATABASE_OBJECTS = {
    "Enum",
    "ExcludeConstraint",
    "Index",
    "Sequence",
    "UniqueConstraint",
}
# Tables that SQL must quote.
QUOTED = {"case", "check", "column", "default", "end", "grant", "group", "limit"} | {
    "offset",
    "order",
    "table",
    "user",
    "window",
}
LITERAL = re.compile(r"""([a-zA-Z]*)('{3}|"{3}|'|")(.*)\2""", re.DOTALL)


class RefusedError(Exception):
    """The feature cannot be copied; the message says why, in one sentence."""


def new_identifiers(
    modules: Collection[Definitions], renaming: Renaming, special: Mapping[str, str]
) -> dict[str, str]:
    """Return the new name of each identifier that changes.

    It ends with an underscore where it would hide another name (PEP 8). A class cannot:
    its name is that of a table or a schema. Raises RefusedError for it.
    """
    defined, used, classes = set[str](), set[str](), set[str]()
    for module in modules:
        defined |= module.names | module.attributes
        used |= module.used | module.imported.keys()
        classes |= module.classes
    kept = {name for module in modules for name in module.attributes & AMBIGUOUS}
    new = {name: special.get(name) or renaming(name) for name in sorted(defined - kept)}
    new = {name: other for name, other in new.items() if other != name}
    taken = (defined | used) - new.keys() | RESERVED
    for name, other in new.items():
        if name in classes and other in taken:
            raise RefusedError(
                f"{name} would be copied as {other}, a name that its code already uses: "
                "choose another one, or rename it there first."
            )
        while other in taken:
            other += "_"
        new[name] = other
        taken.add(other)
    return new


@dataclass(frozen=True)
class CodeRenaming:
    """Renames the feature in one of its modules."""

    text: Renaming
    # The new names of all identifiers; of those and the tables that lack the feature's name.
    identifiers: Mapping[str, str]
    special: Mapping[str, str] = field(default_factory=dict)
    tables: Mapping[str, str] = field(default_factory=dict)
    # What the code of the feature defines.
    attributes: Collection[str] = ()
    parameters: Collection[str] = ()
    # What a dictionary may have as a key.
    keys: Collection[str] = ()
    # What this module imports from elsewhere, and from where.
    imported: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, source: str) -> str:
        result, copied = "", 0
        for place in places_of([*tokens_of(source)]):
            token = place.token
            if token.kind == "name":
                new = self._name(place)
            elif token.kind == "string":
                new = self._string(place)
            elif token.kind == "comment":
                new = self.text(token.text, prose=True)
            else:
                continue
            result += source[copied : token.start] + new
            copied = token.end
        return result + source[copied:]

    def _name(self, place: Place) -> str:
        name = place.token.text
        new = self.identifiers.get(name, name)
        owner = place.owner
        if place.in_import_path or owner == "app":
            return self._module(name, owner)
        if owner is not None:
            return new if name in self.attributes else name
        if place.is_argument_name:
            bracket = place.brackets[-1]
            is_elsewhere = (bracket.owner or bracket.called) in self.imported
            is_own = name in self.attributes or name in self.parameters
            return new if is_own and not is_elsewhere else name
        return name if name in self.imported else new

    def _module(self, name: str, owner: str | None) -> str:
        """Return the new name of one part of a module's name."""
        old, new = self.text.old, self.text.new
        if name == old.plural and owner in ("app", "tests", "from", "."):
            return new.plural
        if name == old.singular and owner in ("models", "from", "."):
            return new.singular
        if name in self.attributes and owner in (old.plural, "from"):
            return self.identifiers.get(name, name)
        return name

    def _string(self, place: Place) -> str:
        match = LITERAL.fullmatch(place.token.text)
        assert match is not None
        prefix, quote, body = match.groups()
        if {"f", "t"} & {*prefix.lower()}:
            is_prose = self._is_prose(body, place)
            body = "".join(
                self(f"({part})")[1:-1] if is_code else self.text(part, prose=is_prose)
                for part, is_code in split_fstring(body)
            )
        else:
            body = self._plain_string(body, place)
        return f"{prefix}{quote}{body}{quote}"

    def _plain_string(self, body: str, place: Place) -> str:
        called = place.brackets[-1].called
        if place.argument == "back_populates" or called in ("bindparam", "label"):
            return self.identifiers.get(body, body)
        if place.is_key and body.isidentifier():
            return self.identifiers.get(body, body) if body in self.keys else body
        if body in self.special:
            return self.special[body]
        if _names_database_object(place) and self.text(body) == body:
            return f"{self.text.new.singular}_{body}"
        if self._is_code(body, place):
            return self._code_string(body, place)
        return self.text(body, prose=self._is_prose(body, place))

    def _code_string(self, body: str, place: Place) -> str:
        """Rename also the tables and classes that lack the feature's name."""
        is_sql = SQL.match(body) is not None
        is_table = is_sql or place.statement == "__tablename__"
        pieces = re.split(r"(\W+)", body)
        for index, (name, gap) in enumerate(pairwise([*pieces, ""])):
            if name in self.tables and (is_table or gap.startswith(".")):
                new = self.tables[name]
                pieces[index] = f'\\"{new}\\"' if is_sql and new in QUOTED else new
            else:
                pieces[index] = self.special.get(name) or self.text(name)
        return "".join(pieces)

    def _is_code(self, body: str, place: Place) -> bool:
        """Return whether a string is SQL, or names something for SQLAlchemy or a type."""
        called = (self.imported.get(b.owner or b.called, "") for b in place.brackets)
        return (
            place.statement in ("__tablename__", "__table_args__")
            or place.brackets[-1].is_index
            or any(name.startswith(("alembic", "sqlalchemy")) for name in called)
            or SQL.match(body) is not None
        )

    def _is_prose(self, body: str, place: Place) -> bool:
        """Return whether a string is for people, so that its words have spaces."""
        if "tags" in (place.argument, place.brackets[-1].argument):
            return True
        return re.search(r"\s", body) is not None and not self._is_code(body, place)


def _names_database_object(place: Place) -> bool:
    bracket = place.brackets[-1]
    is_first = place.before[-1].text == "(" and bracket.called in ("Index", "Sequence")
    return bracket.called in DATABASE_OBJECTS and (is_first or place.argument == "name")
