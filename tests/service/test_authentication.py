"""What the how-to guide about access tokens shows, in a service."""

from pathlib import Path

import pytest

from tests.harness.pages import HOW_TO, apply, blocks, section
from tests.harness.project import Project
from tests.harness.types import Render

IN_SERVICE = Path(__file__).parent / "in_service"
CREATED_BY = """from sqlalchemy import select

from app.models import Item
from tests.identities import bearer


async def test_the_subject_is_stored(client, session):
    headers = bearer("ann", "items:read", "items:write")
    response = await client.post("/items", json={"name": "Lamp"}, headers=headers)
    assert response.status_code == 201
    assert await session.scalar(select(Item.created_by)) == "ann"
"""


@pytest.fixture
def project(installed: Render, tmp_path: Path) -> Project:
    """A service to change, with the dependencies of another one."""
    service = installed(kubernetes=True, auth="oidc")
    return service.copy_with_environment(tmp_path / "project")


def check(project: Project, *paths: str) -> None:
    project.run("ruff", "format", *paths)
    for command in ("ruff check", "ty check"):
        project.run(*command.split(), *paths)


def test_the_routes_of_the_guide_work_as_it_says(project: Project) -> None:
    routes, test = blocks(section(HOW_TO, "Ask for access tokens"), "python")
    (project.path / "app" / "lamps.py").write_text(routes)
    api = project.path / "app" / "api.py"
    included = "from app import lamps\nrouter.include_router(lamps.router)\n"
    api.write_text(f"{api.read_text()}{included}")
    path = project.path / "tests" / "test_lamps.py"
    path.write_text(test)

    check(project, "app/lamps.py", "tests/test_lamps.py")
    closed = "tests/core/oidc/test_closed_by_default.py"
    output = project.run("pytest", "-q", "tests/test_lamps.py", closed).stdout

    assert "2 passed" in output


def test_who_created_a_row_is_recorded(project: Project) -> None:
    guide = blocks(section(HOW_TO, "Record who created a row"), "diff")
    paths = ("app/models/item.py", "app/items/service.py", "app/items/routes.py")
    for difference, path in zip(guide, paths, strict=True):
        apply(difference, project.path / path)

    project.run("alembic", "upgrade", "head")
    project.run("alembic", "revision", "--autogenerate", "-m", "Add created_by to item")
    check(project, *paths)
    (project.path / "tests" / "test_created_by.py").write_text(CREATED_BY)
    tests = ("tests/test_created_by.py", "tests/test_migrations.py", "tests/items")

    assert " passed" in project.run("pytest", "-q", *tests).stdout


def test_row_level_security_separates_tenants(project: Project) -> None:
    guide = section(HOW_TO, "Separate tenants")
    (policies,) = blocks(guide, "sql")
    _, sessions = blocks(guide, "python")
    (project.path / "app" / "tenants.py").write_text(sessions)
    (project.path / "tenants.sql").write_text(policies)

    check(project, "app/tenants.py")

    assert project.test(IN_SERVICE / "tenants.py") == 1
