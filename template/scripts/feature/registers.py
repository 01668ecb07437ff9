"""Adds a copied feature to the files that list all features."""

import ast
import io
from collections.abc import Iterable, Mapping
from itertools import accumulate
from pathlib import Path
from types import MappingProxyType

from feature.code import CodeRenaming, RefusedError
from feature.copy import Copy
from feature.definitions import module_of
from feature.source import dotted, parse

API, MODELS = Path("app/api.py"), Path("app/models/__init__.py")


def with_routes(copy: Copy) -> str:
    """Return app/api.py with the routes of the copy."""
    tree, name = parse(copy.old.root, API), copy.old.name
    imports = _imports(tree, "app", dotted(copy.old.folder))
    names = _imported(imports)
    uses = [
        node
        for node in tree.body
        if isinstance(node, ast.Expr)
        and any(
            isinstance(each, ast.Name) and each.id in names for each in ast.walk(node)
        )
    ]
    if not uses:
        raise RefusedError(
            f"{API} has no statement of its own for the routes of {name.singular}, such as "
            f"router.include_router({name.plural}.router)."
        )
    new = {each: copy.renaming(each) for each in names}
    for used in _imported(tree.body) & {*new.values()}:
        raise RefusedError(f"{API} uses the name {used} already: choose another name.")
    return _with_copies(copy, API, [*imports, *uses], new)


def with_models(copy: Copy) -> str:
    """Return app/models/__init__.py with the models of the copy."""
    tree = parse(copy.old.root, MODELS)
    imports = _imports(tree, "app.models", f"app.models.{copy.old.name.singular}")
    if not imports:
        raise RefusedError(f"{MODELS} imports nothing from {copy.old.model}.")
    return _with_copies(copy, MODELS, imports, copy.models, _exported(tree))


def _imports(tree: ast.Module, package: str, module: str) -> list[ast.ImportFrom]:
    return [
        node
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        and f"{module_of(node, package)}.".startswith(f"{module}.")
    ]


def _imported(statements: Iterable[ast.stmt]) -> set[str]:
    return {
        alias.asname or alias.name
        for node in statements
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }


def _exported(tree: ast.Module) -> dict[str, ast.expr]:
    """Return the names in `__all__`, and where they are."""
    for node in tree.body:
        match node:
            case ast.Assign([ast.Name("__all__")], ast.List(names) | ast.Tuple(names)):
                return {str(ast.literal_eval(name)): name for name in names}
    return {}


def _with_copies(
    copy: Copy,
    path: Path,
    statements: Iterable[ast.stmt],
    identifiers: dict[str, str],
    exported: Mapping[str, ast.expr] = MappingProxyType({}),
) -> str:
    """Return a file with a copy after each of the statements and of the exported names."""
    text = (copy.old.root / path).read_text("utf-8").rstrip() + "\n"
    lines = [*io.StringIO(text)]
    rename = CodeRenaming(copy.renaming, identifiers)
    starts = [0, *accumulate(map(len, lines))]
    insertions = [
        (starts[end], rename("".join(lines[node.lineno - 1 : end])))
        for node in statements
        for end in [node.end_lineno or node.lineno]
    ]
    for name in identifiers.keys() & exported.keys():
        new = identifiers[name]
        at = exported[next((each for each in exported if each > new), name)]
        start = lines[at.lineno - 1].encode()[: at.col_offset].decode()
        # On a line of its own, as the name before which it is.
        gap = f"\n{start}" if start.isspace() else " "
        insertions.append((starts[at.lineno - 1] + len(start), f'"{new}",{gap}'))
    for offset, insertion in sorted(insertions, reverse=True):
        text = text[:offset] + insertion + text[offset:]
    return text
