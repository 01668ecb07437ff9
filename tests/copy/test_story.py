"""The acceptance list of the story that this template was asked for, word for word."""

import shlex

import pytest

from tests.harness.project import Project
from tests.harness.types import Render

STORY = {"project_name": "Privacy Rights API"}
IMPORTS = {
    (
        'python -c "from app.core.database import engine, async_session_factory, Base,'
        " get_db; print('Database module OK')\""
    ): "Database module OK",
    (
        'python -c "from app.models import Base, TimestampMixin, UUIDPrimaryKeyMixin;'
        " print('Models base OK')\""
    ): "Models base OK",
}


@pytest.fixture(scope="module")
def story(installed: Render) -> Project:
    return installed(**STORY)


@pytest.mark.parametrize(("command", "output"), IMPORTS.items(), ids=IMPORTS.values())
def test_the_modules_have_the_names_of_the_story(
    story: Project, command: str, output: str
) -> None:
    assert story.run(*shlex.split(command)).stdout.splitlines()[-1] == output


def test_the_lint_check_passes_and_formatting_changes_nothing(
    story: Project, render: Render
) -> None:
    story.run("ruff", "check", ".")
    story.run("ruff", "format", ".")

    for path in render(**STORY).files(".py"):
        rendered = (render(**STORY).path / path).read_bytes()
        assert (story.path / path).read_bytes() == rendered, path


@pytest.mark.usefixtures("port_8000")
@pytest.mark.parametrize(
    "environment", [{}, {"DATABASE_URL": "postgresql://x@127.0.0.1:1/x"}]
)
def test_the_app_starts_with_reload_and_serves_on_port_8000(
    story: Project, environment: dict[str, str]
) -> None:
    command = shlex.split("uvicorn app.main:app --reload")

    with story.serve(*command, port=8000, **environment) as client:
        assert client.get("/").json() == {
            "service": "Privacy Rights API",
            "version": "0.1.0",
        }
        assert client.get("/docs").status_code == 200
        assert client.get("/redoc").status_code == 200


def test_the_interface_is_the_story_s(story: Project) -> None:
    program = """
from inspect import isasyncgenfunction

from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker

import app.core.database as database
from app import models
from app.core.config import settings
from app.main import app, lifespan

assert isinstance(app, FastAPI) and callable(lifespan)
assert isinstance(database.engine, AsyncEngine)
assert isinstance(database.async_session_factory, async_sessionmaker)
assert isasyncgenfunction(database.get_db)
assert models.Base is database.Base
assert database.engine.pool.size() == settings.DB_POOL_SIZE
assert settings.DB_POOL_SIZE + settings.DB_MAX_OVERFLOW == 10 + 20
assert settings.DATABASE_URL.drivername == "postgresql+asyncpg"
assert settings.DEBUG is False
assert settings.APP_TITLE == "Privacy Rights API"
assert settings.APP_DESCRIPTION and settings.APP_VERSION


class Status(models.UUIDPrimaryKeyMixin, models.TimestampMixin, models.Base):
    __tablename__ = "status"


columns = {column.name: column for column in Status.__table__.columns}
assert str(columns["id"].type.compile(database.engine.dialect)) == "UUID"
for name in ("created_at", "updated_at"):
    sql = str(columns[name].type.compile(database.engine.dialect))
    assert sql == "TIMESTAMP WITH TIME ZONE", sql
    assert columns[name].server_default is not None and not columns[name].nullable
assert columns["updated_at"].onupdate is not None
"""
    story.run("python", "-c", program)
