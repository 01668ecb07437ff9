"""Conditions of queries that Python takes for something else, in silence."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

APP = Path(__file__).parents[2] / "app"
CLAUSES = {"filter", "having", "where"}


def lost_conditions(source: str) -> Iterator[int]:
    """Yield the lines where `and` or `or` drops a comparison.

    Of a column, == and != have a truth value, whether both sides are the same object. So
    `where(Lamp.owner == me and Lamp.on == True)` finds the lamps of which `owner` is me.
    """
    for call in ast.walk(ast.parse(source)):
        match call:
            case ast.Call(func=ast.Attribute(attr=name)) if name in CLAUSES:
                yield from (arg.lineno for arg in call.args if _drops(arg))


def _drops(condition: ast.expr) -> bool:
    match condition:
        case ast.BoolOp(values=[ast.Compare(ops=[ast.Eq() | ast.NotEq()]), *_]):
            return True
    return False


@pytest.mark.parametrize(
    ("condition", "lines"),
    [
        ("Lamp.owner == me and Lamp.on == True", [1]),
        ("Lamp.owner != me or Lamp.on", [1]),
        ("Lamp.owner == me, Lamp.on", []),
        ("(Lamp.owner == me) & Lamp.on", []),
        ("Lamp.owner == me if me else Lamp.on", []),
    ],
)
def test_a_condition_that_python_drops_is_found(
    condition: str, lines: list[int]
) -> None:
    assert list(lost_conditions(f"select(Lamp).where({condition})")) == lines


def test_no_query_of_the_service_drops_a_condition() -> None:
    found = [
        f"{path.relative_to(APP.parent)}:{line}"
        for path in APP.rglob("*.py")
        for line in lost_conditions(path.read_text())
    ]

    assert not found, f"Separate conditions by commas, or join them by `or_`: {found}"
