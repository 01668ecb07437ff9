"""Refuses a copy whose name the service cannot take."""

import ast
import re
from keyword import iskeyword
from pathlib import Path

from feature.code import RefusedError
from feature.copy import Copy
from feature.source import Feature, classes_of, tables_of
from feature.words import NAME

# Alembic's table, and the names of the template's packages and modules.
RESERVED = {"alembic_version", "api", "core", "main", "models"}
MAX_LENGTH = 40  # An index has a longer name, of which PostgreSQL keeps 63 bytes.


def refuse_invalid(name: str) -> None:
    """Raise RefusedError unless a feature may have the name."""
    if not NAME.fullmatch(name) or len(name) > MAX_LENGTH:
        raise RefusedError(
            f"{name!r} is not a name for a feature: use lower-case words of letters, joined "
            f"by underscores, as in line_item, and at most {MAX_LENGTH} characters."
        )
    if iskeyword(name) or name in RESERVED:
        raise RefusedError(f"{name} is a reserved word: choose another name.")


def refuse_used(copy: Copy) -> None:
    """Raise RefusedError if a path, a model or a table of the copy is in use."""
    root, new = copy.old.root, copy.new
    for path in (new.folder, new.folder.with_suffix(".py"), new.model, new.tests):
        if (root / path).exists():
            raise RefusedError(f"{path} already exists: choose another name.")
    init = Path("app", "models", "__init__.py")
    for node in ast.walk(copy.old.other_models[init]):
        if isinstance(node, ast.Name) and node.id == new.name.singular:
            # The module would hide it there.
            raise RefusedError(f"{init} uses {node.id} already: choose another name.")
    models = {**copy.old.other_models, copy.old.model: copy.old.trees[copy.old.model]}
    for path, tree in models.items():
        known = {*classes_of(tree), *tables_of(tree)}
        for used in sorted(known & {*copy.models.values(), *copy.tables.values()}):
            raise RefusedError(f"{path} already has {used}: choose another name.")


def refuse_shared_relationships(old: Feature) -> None:
    """Raise RefusedError for a relationship that another feature's model shares."""
    models = [
        node for node in old.trees[old.model].body if isinstance(node, ast.ClassDef)
    ]
    fields = [(model.name, field) for model in models for field in model.body]
    for model, field in fields:
        match field:
            case ast.AnnAssign(ast.Name(name), annotation, ast.Call(keywords=keywords)):
                is_shared = {"back_populates", "backref"} & {
                    word.arg for word in keywords
                }
                named = {*re.findall(r"\w+", ast.unparse(annotation))}
                if is_shared and not named & {*old.models}:
                    raise RefusedError(
                        f"{model}.{name} has another side in a model of another feature, "
                        "which the copy would need too: remove its back_populates first."
                    )


def refuse_used_modules(copy: Copy) -> None:
    """Raise RefusedError if pytest would confuse a module of the copy with another.

    Outside of packages, it tells modules apart by their name alone.
    """
    root = copy.old.root
    if (root / copy.old.tests / "__init__.py").exists():
        return
    names = {path.name for path in copy.files if copy.new.tests in path.parents}
    for path in sorted((root / "tests").rglob("test_*.py")):
        if path.name in names:
            raise RefusedError(
                f"The tests would be in {path.name}, as there is "
                f"{path.relative_to(root)}: choose another name."
            )
