"""The direction of imports within the core."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = ROOT / "app" / "core"
FRAMEWORK = ("fastapi", "starlette", "asgi_correlation_id")
# What each room must not import: `db` knows no web framework, `http` no driver, and
# neither knows what is put together outside of it.
FORBIDDEN = {
    "db": (*FRAMEWORK, "app.core.http", "app.core.database", "app.core.config"),
    "http": ("asyncpg", "app.core.application", "app.core.health", "app.core.config"),
}


def imported(path: Path) -> set[str]:
    """Return the modules that a file imports at its top level."""
    names = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize(
    "path",
    [path for room in FORBIDDEN for path in sorted((CORE / room).glob("*.py"))],
    ids=lambda path: f"{path.parent.name}/{path.name}",
)
def test_a_room_of_the_core_imports_nothing_from_outside_its_walls(path: Path) -> None:
    forbidden = FORBIDDEN[path.parent.name]

    crossing = {
        name
        for name in imported(path)
        if any(f"{name}.".startswith(f"{module}.") for module in forbidden)
    }

    assert crossing == set()


def test_the_database_layer_loads_no_web_framework() -> None:
    modules = (path.stem for path in (CORE / "db").glob("[a-z]*.py"))
    imports = "; ".join(f"import app.core.db.{module}" for module in modules)
    program = f"import sys; {imports}; print(*sys.modules)"

    loaded = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()

    assert {name for name in loaded if name.partition(".")[0] in FRAMEWORK} == set()
