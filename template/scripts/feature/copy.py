"""The copy of a feature under another name."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from feature.code import CodeRenaming, new_identifiers
from feature.definitions import Definitions, Function
from feature.source import Feature, classes_of, parse, tables_of
from feature.words import Renaming, class_name


@dataclass(frozen=True)
class Copy:
    """The copy of `old` that becomes `new`."""

    old: Feature
    new: Feature

    @cached_property
    def files(self) -> dict[Path, str]:
        """The path and the text of each of its files."""
        return {
            self._path(path): self.code(path)(text)
            for path, text in self.old.sources.items()
        }

    @cached_property
    def renaming(self) -> Renaming:
        others = {path.name for path in (self.old.root / "app").iterdir()}
        for path, tree in self.old.other_models.items():
            others |= {path.stem, *classes_of(tree), *tables_of(tree)}
        return Renaming(self.old.name, self.new.name, others)

    @cached_property
    def models(self) -> dict[str, str]:
        """The new names of the classes in the feature's module of models."""
        names = self.identifiers
        return {name: names[name] for name in self.old.models if name in names}

    @cached_property
    def tables(self) -> dict[str, str]:
        """The new names of the feature's tables."""
        prefix = self.new.name.singular
        return {
            table: renamed if renamed != table else f"{prefix}_{table}"
            for table in self.old.tables
            for renamed in [self.renaming(table)]
        }

    @cached_property
    def special(self) -> dict[str, str]:
        """The new names of public classes and routes that lack the feature's name.

        A second table, schema or operation of the same name would break the service.
        """
        prefix = class_name(self.new.name.singular)
        special = {
            name: f"{prefix}{name}"
            for path, tree in self.old.trees.items()
            if path.parts[0] == "app"
            for name in classes_of(tree)
        }
        special |= {
            node.name: self._with_object(node.name)
            for node in self.old.trees[self.old.folder / "routes.py"].body
            if isinstance(node, Function)
        }
        return {
            name: new
            for name, new in special.items()
            if not name.startswith("_") and self.renaming(name) == name
        }

    def _with_object(self, function: str) -> str:
        verb, _, rest = function.partition("_")
        return "_".join(filter(None, (verb, self.new.name.singular, rest)))

    @cached_property
    def identifiers(self) -> dict[str, str]:
        """The new names of all identifiers that change."""
        modules = Definitions(attributes=self._modules)
        return new_identifiers(
            [*self.old.definitions.values(), modules], self.renaming, self.special
        )

    @cached_property
    def _modules(self) -> set[str]:
        folder = self.old.folder
        return {path.stem for path in self.old.sources if folder in path.parents}

    def code(self, path: Path) -> CodeRenaming:
        """Return what renames the feature in one of its modules."""
        definitions = self.old.definitions
        imported = definitions[path].imported
        if path.parts[0] == "tests":
            # Tests have the fixtures of the service as parameters.
            imported = {**imported, **dict.fromkeys(self._fixtures(), "tests.conftest")}
        attributes = self._modules.union(
            *(each.attributes for each in definitions.values())
        )
        parameters = set().union(*(each.parameters for each in definitions.values()))
        return CodeRenaming(
            text=self.renaming,
            identifiers=self.identifiers,
            special=self.special,
            tables=self.tables,
            attributes=attributes,
            parameters=parameters,
            keys=attributes | definitions[self.old.folder / "routes.py"].parameters,
            imported=imported,
        )

    @property
    def foreign(self) -> list[str]:
        """The names of other modules that contain the old name and so stay."""
        return sorted(
            {
                f"{module}.{name}"
                for path, definitions in self.old.definitions.items()
                for name, module in self.code(path).imported.items()
                if self.renaming(name) != name
                if name in definitions.used | definitions.parameters
            }
        )

    def _fixtures(self) -> Iterator[str]:
        path = Path("tests", "conftest.py")
        for node in parse(self.old.root, path).body:
            if isinstance(node, Function):
                yield node.name

    def _path(self, path: Path) -> Path:
        if path == self.old.model:
            return self.new.model
        if self.old.folder in path.parents:
            copy = self.new.folder / path.relative_to(self.old.folder)
            return copy.with_stem(self.identifiers.get(path.stem, path.stem))
        copy = self.new.tests / path.relative_to(self.old.tests)
        stem = self.renaming(path.stem)
        if stem == path.stem and stem.startswith("test_"):
            # Without packages, pytest tells modules apart by this name alone.
            stem = self._with_object(stem)
        return copy.with_stem(stem)
