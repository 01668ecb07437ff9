"""Collects the names that the code of a feature defines, and those that it imports."""

import ast
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib.util import resolve_name

SQL = re.compile(
    r"\s*(ALTER|CREATE|DELETE|DROP|INSERT|LOCK|SELECT|TRUNCATE|UPDATE|WITH)\b"
)
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class Definitions:
    """The identifiers of a module by their role; one can have several roles."""

    names: set[str] = field(default_factory=set)
    # Names of a class, of the module itself, or of a statement's columns and parameters.
    attributes: set[str] = field(default_factory=set)
    parameters: set[str] = field(default_factory=set)
    classes: set[str] = field(default_factory=set)
    used: set[str] = field(default_factory=set)
    # Names from outside the feature, and the modules that they come from.
    imported: dict[str, str] = field(default_factory=dict)


def definitions_of(
    tree: ast.Module, package: str, is_own: Callable[[str, str], bool]
) -> Definitions:
    """Return the definitions of a module.

    `is_own` tells whether a name that is imported from a module is the feature's.
    """
    found = Definitions()
    found.attributes |= _bound_by(tree.body)
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef():
                found.classes.add(node.name)
                found.names.add(node.name)
                found.attributes |= _bound_by(node.body)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                found.names.add(node.name)
            case ast.arg():
                found.names.add(node.arg)
                found.parameters.add(node.arg)
            case ast.Name(ctx=ast.Load()):
                found.used.add(node.id)
            case ast.Name():
                found.names.add(node.id)
            case ast.Attribute(ctx=ast.Store()):
                found.attributes.add(node.attr)
            case ast.Call(
                ast.Name("bindparam") | ast.Attribute(attr="bindparam" | "label"),
                [ast.Constant(str(name)), *_],
            ):
                found.attributes.add(name)
            case ast.Constant(str(text)) if SQL.match(text):
                found.attributes |= {*re.findall(r"(?::|\bAS )([a-z]\w*)", text)}
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
                found.names.add(name)
            case ast.Import():
                for alias in node.names:
                    name = alias.asname or alias.name.partition(".")[0]
                    found.imported[name] = alias.name
            case ast.ImportFrom():
                module = module_of(node, package)
                for alias in node.names:
                    if is_own(module, alias.name):
                        found.names.add(alias.asname or alias.name)
                    else:
                        found.imported[alias.name] = module
                        found.imported[alias.asname or alias.name] = module
    return found


def module_of(node: ast.ImportFrom, package: str) -> str:
    """Return the full name of the module that an import names."""
    name = f"{'.' * node.level}{node.module or ''}"
    return resolve_name(name, package) if node.level else name


def _bound_by(statements: Iterable[ast.stmt]) -> set[str]:
    names = set()
    for statement in statements:
        match statement:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
                names.add(name)
            case ast.AsyncFunctionDef(name=name):
                names.add(name)
            case ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
            case ast.Assign(targets=targets):
                names |= {name.id for name in targets if isinstance(name, ast.Name)}
    return names
