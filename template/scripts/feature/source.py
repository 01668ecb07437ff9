"""A feature of the service: its files and what they define."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from feature.code import RefusedError
from feature.definitions import Definitions, definitions_of
from feature.words import Name, class_name, plural_of

REQUIRED = ("routes.py", "schemas.py", "service.py")


@dataclass(frozen=True)
class Feature:
    """A feature of the service in `root`. All other paths are relative to it."""

    root: Path
    name: Name

    @property
    def folder(self) -> Path:
        return Path("app", self.name.plural)

    @property
    def tests(self) -> Path:
        return Path("tests", self.name.plural)

    @property
    def model(self) -> Path:
        return Path("app", "models", f"{self.name.singular}.py")

    @cached_property
    def sources(self) -> dict[Path, str]:
        """The text of each of its Python files."""
        paths = [path for path in self._files() if path.suffix == ".py"]
        return {path: (self.root / path).read_text("utf-8") for path in paths}

    @property
    def other_files(self) -> list[Path]:
        """Its files that are not Python."""
        return [path for path in self._files() if path.suffix not in (".py", ".pyc")]

    def _files(self) -> Iterator[Path]:
        yield self.model
        for folder in (self.folder, self.tests):
            for path in sorted((self.root / folder).rglob("*")):
                if path.is_file():
                    yield path.relative_to(self.root)

    @cached_property
    def trees(self) -> dict[Path, ast.Module]:
        return {path: parse(self.root, path) for path in self.sources}

    @cached_property
    def definitions(self) -> dict[Path, Definitions]:
        return {
            path: definitions_of(tree, ".".join(path.parent.parts), self._has)
            for path, tree in self.trees.items()
        }

    def _has(self, module: str, name: str) -> bool:
        """Return whether a name that is imported from a module is the feature's."""
        if module == "app.models":
            return name in self.models
        own = (
            f"app.models.{self.name.singular}",
            *map(dotted, (self.folder, self.tests)),
        )
        return f"{module}.{name}.".startswith(tuple(f"{each}." for each in own))

    @property
    def models(self) -> list[str]:
        return classes_of(self.trees[self.model])

    @property
    def tables(self) -> list[str]:
        return [*tables_of(self.trees[self.model])]

    @cached_property
    def other_models(self) -> dict[Path, ast.Module]:
        """The modules of models that are not the feature's."""
        paths = sorted((self.root / "app" / "models").glob("*.py"))
        others = [path.relative_to(self.root) for path in paths]
        return {path: parse(self.root, path) for path in others if path != self.model}


def find_feature(root: Path, singular: str, plural: str | None) -> Feature:
    """Return a feature of the service; raise RefusedError if a usual file is missing."""
    feature = Feature(root, Name(singular, plural or plural_of(singular) or singular))
    if not (root / feature.model).is_file():
        features = ", ".join(_features(root)) or "none"
        raise RefusedError(
            f"There is no {feature.model}. The features of this service: {features}."
        )
    if not (root / feature.folder).is_dir():
        raise RefusedError(
            f"There is no {feature.folder}: name the folder of {singular} with "
            "--like-plural."
        )
    for name in REQUIRED:
        if not (root / feature.folder / name).is_file():
            raise RefusedError(f"There is no {feature.folder / name}.")
    if class_name(singular) not in feature.models:
        raise RefusedError(f"{feature.model} has no class {class_name(singular)}.")
    return feature


def _features(root: Path) -> Iterator[str]:
    for path in sorted((root / "app" / "models").glob("*.py")):
        if (root / "app" / str(plural_of(path.stem)) / "routes.py").is_file():
            yield path.stem


def parse(root: Path, path: Path) -> ast.Module:
    """Return the syntax tree of a file; raise RefusedError if it is not valid."""
    try:
        return ast.parse((root / path).read_text("utf-8"))
    except SyntaxError as error:
        raise RefusedError(f"{path}:{error.lineno} is not valid Python.") from None


def dotted(path: Path) -> str:
    """Return the name of the package in a folder."""
    return ".".join(path.parts)


def classes_of(tree: ast.Module) -> list[str]:
    return [node.name for node in tree.body if isinstance(node, ast.ClassDef)]


def tables_of(tree: ast.Module) -> Iterator[str]:
    """Yield the names of the tables that a module declares."""
    for node in ast.walk(tree):
        match node:
            case ast.Assign(
                [ast.Name("__tablename__")], ast.Constant(str(name))
            ) | ast.AnnAssign(ast.Name("__tablename__"), _, ast.Constant(str(name))):
                yield name
