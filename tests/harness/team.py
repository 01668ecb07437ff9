"""A year in the life of a team that works on a rendered service."""

import re
from dataclasses import dataclass, field

from tests.harness.project import Project

MODEL = '''"""The table of the privacy requests."""

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database import Base
from app.models.base import TimestampMixin, UUIDPrimaryKeyMixin


class PrivacyRequest(UUIDPrimaryKeyMixin, TimestampMixin, Base):
    __tablename__ = "privacy_request"

    email: Mapped[str] = mapped_column(String(200))
'''
REVISION = '''"""Create privacy_request."""

import sqlalchemy as sa
from alembic import op

revision = "a1b2c3d4e5f6"
down_revision = {down!r}
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "privacy_request",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.String(length=200), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_privacy_request")),
    )


def downgrade() -> None:
    op.drop_table("privacy_request")
'''
DROP_ITEM = '''"""Drop item."""

from alembic import op

revision = "f6e5d4c3b2a1"
down_revision = "a1b2c3d4e5f6"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("idempotency_key", "note", "item"):
        op.drop_table(table, if_exists=True)


def downgrade() -> None:
    raise NotImplementedError
'''
SCHEMAS = '''"""What a client sends about a privacy request, and what it gets."""

import uuid

from pydantic import BaseModel, ConfigDict


class PrivacyRequestCreate(BaseModel):
    email: str


class PrivacyRequestRead(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID
    email: str
'''
SERVICE = '''"""What can be done with privacy requests."""

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import settings
from app.core.errors import ConflictError
from app.models import PrivacyRequest
from app.privacy_requests.schemas import PrivacyRequestCreate


async def create(session: AsyncSession, new: PrivacyRequestCreate) -> PrivacyRequest:
    if len(new.email) > settings.MAX_EMAIL_LENGTH:
        raise ConflictError("The address is too long.")
    request = PrivacyRequest(**new.model_dump())
    session.add(request)
    await session.flush()
    return request
'''
ROUTES = '''"""The HTTP interface of the privacy requests."""

from fastapi import APIRouter

from app.core.database import SessionDep
from app.models import PrivacyRequest
from app.privacy_requests import service
from app.privacy_requests.schemas import PrivacyRequestCreate, PrivacyRequestRead

router = APIRouter(prefix="/privacy-requests", tags=["privacy requests"])


@router.post("", status_code=201, response_model=PrivacyRequestRead)
async def create(session: SessionDep, new: PrivacyRequestCreate) -> PrivacyRequest:
    """Ask for one's data."""
    return await service.create(session, new)
'''
TESTS = '''"""The privacy requests, through HTTP."""

from httpx2 import AsyncClient


async def test_a_privacy_request_is_created(client: AsyncClient) -> None:
    body = {"email": "a@example.com"}

    response = await client.post("/privacy-requests", json=body)

    assert response.status_code == 201
    assert response.json()["email"] == "a@example.com"
    assert response.headers["x-team"] == "privacy"
'''
MIDDLEWARE = '''

class TeamHeader:
    """Adds a header to every response."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_header(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"].append((b"x-team", b"privacy"))
            await send(message)

        await self.app(scope, receive, send_with_header)


app.add_middleware(TeamHeader)
'''


@dataclass
class Work:
    """What a team did: texts that must still stand in a file, files that must be gone."""

    project: Project
    texts: list[tuple[str, str]] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)

    def write(self, path: str, text: str) -> None:
        """Add a file, or replace it."""
        file = self.project.path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        self.texts.append((path, text))

    def add(self, path: str, anchor: str, text: str) -> None:
        """Insert a text after an anchor."""
        file = self.project.path / path
        before = file.read_text()
        assert before.count(anchor) == 1, (path, anchor)
        file.write_text(before.replace(anchor, anchor + text))
        self.texts.append((path, text))

    def append(self, path: str, text: str) -> None:
        """Add a text to the end of a file."""
        file = self.project.path / path
        file.write_text(file.read_text() + text)
        self.texts.append((path, text))

    def change(self, path: str, pattern: str, text: str) -> None:
        """Replace the one thing that matches a pattern."""
        file = self.project.path / path
        after, count = re.subn(pattern, text, file.read_text())
        assert count == 1, (path, pattern)
        file.write_text(after)
        self.texts.append((path, text))

    def delete(self, path: str) -> None:
        """Delete a file."""
        (self.project.path / path).unlink()
        self.deleted.append(path)

    def lost(self) -> list[str]:
        """Return what is no longer as the team left it."""
        lost = []
        for path, text in self.texts:
            file = self.project.path / path
            if not file.exists() or text not in file.read_text():
                lost.append(f"{path}: {text.strip().splitlines()[0]}")
        lost += [path for path in self.deleted if (self.project.path / path).exists()]
        return lost


def add_a_feature(work: Work) -> None:
    revisions = sorted((work.project.path / "alembic" / "versions").glob("*.py"))
    down = None
    if revisions:
        (down,) = re.findall(
            r'^revision = "(\w+)"', revisions[-1].read_text(), re.MULTILINE
        )
    versions = "alembic/versions/2026_06_01_0000"
    work.write(
        f"{versions}-create_privacy_request.py",
        REVISION.format(down=down).replace("'", '"'),
    )
    work.write("app/models/privacy_request.py", MODEL)
    for name, text in {
        "__init__": '"""The privacy requests."""\n',
        "schemas": SCHEMAS,
        "service": SERVICE,
        "routes": ROUTES,
    }.items():
        work.write(f"app/privacy_requests/{name}.py", text)
    work.write("tests/privacy_requests/test_privacy_requests.py", TESTS)
    models = "app/models/__init__.py"
    file = work.project.path / models
    text = file.read_text()
    imports, exports = text.split("\n__all__ = [\n")
    imports += "from app.models.privacy_request import PrivacyRequest\n"
    exports = exports.replace(
        '    "TimestampMixin"', '    "PrivacyRequest",\n    "TimestampMixin"'
    )
    work.write(models, f"{imports}\n__all__ = [\n{exports}")
    routes = "from app.privacy_requests import routes as privacy_requests\n"
    if down is None:
        work.add("app/api.py", "from fastapi import APIRouter\n", f"\n{routes}")
    else:
        work.add("app/api.py", "from app.items import routes as items\n", routes)
    work.append("app/api.py", "router.include_router(privacy_requests.router)\n")


def add_a_setting(work: Work) -> None:
    anchor = (
        "    # Yours from here on: an update changes only what is above this line.\n"
    )
    work.add("app/core/config.py", anchor, "    MAX_EMAIL_LENGTH: int = 200\n")
    work.append(".env.example", "MAX_EMAIL_LENGTH=200\n")


def change_the_pool(work: Work) -> None:
    work.change(
        "app/core/config.py",
        r"    DB_POOL_SIZE: int = Field\(default=\d+, ge=1\)",
        "    DB_POOL_SIZE: int = Field(default=15, ge=1)",
    )
    work.change(".env.example", r"DB_POOL_SIZE=\d+", "DB_POOL_SIZE=15")


def add_dependencies(work: Work) -> None:
    work.project.run("uv", "add", "--quiet", "--no-sync", "attrs")
    work.project.run("uv", "add", "--quiet", "--no-sync", "--dev", "hypothesis")
    text = (work.project.path / "pyproject.toml").read_text()
    for name in ("attrs", "hypothesis"):
        (line,) = re.findall(rf'    "{name}.*\n', text)
        work.texts.append(("pyproject.toml", line))
    lock = (work.project.path / "uv.lock").read_text()
    work.texts.append(("uv.lock", lock))
    work.append("pyproject.toml", '\n[tool.team]\nname = "privacy"\n')


def extend_the_application(work: Work) -> None:
    work.add(
        "app/main.py",
        "    # Yours between this line and the yield: what the service needs while it runs.\n",
        "    app.state.started = True\n",
    )
    work.add(
        "app/main.py",
        "from pydantic import BaseModel\n",
        "from starlette.types import ASGIApp, Message, Receive, Scope, Send\n",
    )
    work.append("app/main.py", MIDDLEWARE)


def write_its_own_words(work: Work) -> None:
    work.write("README.md", "# Privacy\n\nOur service.\n")
    work.append("AGENTS.md", "- Ask the privacy team.\n")
    work.append(".gitignore", "reports/\n")
    (work.project.path / ".env").write_text("DEBUG=true\n")
    work.texts.append((".env", "DEBUG=true\n"))
    work.write("docs/privacy.md", "# How we work\n")


def patch_by_hand(work: Work) -> None:
    work.change(
        "app/core/health.py", r"READY_TIMEOUT_SECONDS = .*", "READY_TIMEOUT_SECONDS = 3"
    )
    work.change(
        "alembic/env.py", r"LOCK_TIMEOUT_SECONDS = \d+", "LOCK_TIMEOUT_SECONDS = 60"
    )


def delete_files_of_the_template(work: Work) -> None:
    work.delete(".editorconfig")
    work.delete("tests/core/test_pool.py")


def delete_the_example(work: Work) -> None:
    """As the how-to says, with the migration that a database with data needs."""
    for directory in ("app/items", "tests/items"):
        for path in sorted((work.project.path / directory).glob("*.py")):
            work.delete(str(path.relative_to(work.project.path)))
    for name in ("item", "idempotency_key"):
        if (work.project.path / "app" / "models" / f"{name}.py").exists():
            work.delete(f"app/models/{name}.py")
    work.write("alembic/versions/2026_07_01_0000-drop_item.py", DROP_ITEM)
    work.delete("tests/test_migrations.py")  # A table that is dropped stays dropped.
    for path in ("app/api.py", "app/models/__init__.py"):
        lines = (work.project.path / path).read_text().splitlines(keepends=True)
        example = re.compile(r"\b([Ii]tems?|Note|IdempotencyKey)\b")
        kept = "".join(line for line in lines if not example.search(line))
        work.texts = [known for known in work.texts if known[0] != path]
        work.write(path, kept)


def extend_the_pipeline(work: Work) -> None:
    """Add a step to the pipeline, where the version had one."""
    path = ".github/workflows/update.yml"
    if (work.project.path / path).exists():
        work.append(path, "      - run: echo Done\n")


def has_its_own_image_and_pipeline(work: Work) -> None:
    """Paths that others choose too: the team's, whoever had them first."""
    work.write("Dockerfile", "FROM python:3.13-slim\nCOPY . /srv\n")
    work.write(".dockerignore", ".git\n")
    work.write("compose.yaml", "services:\n  web:\n    build: .\n")
    work.write("compose.override.yaml", "services:\n  web:\n    ports: [8080:80]\n")
    work.write(".coveragerc", "[run]\nsource = app, tests\n")
    job = "on: push\njobs:\n  test:\n    runs-on: ours\n    steps:\n      - run: ls\n"
    for name in ("ci", "image"):
        work.write(f".github/workflows/{name}.yml", job)
    work.write(".github/dependabot.yml", "version: 2\nupdates: []\n")
    work.write(".gitlab-ci.yml", "include:\n  - local: .gitlab/template/*.yml\n")


def nothing(work: Work) -> None:
    """A team that has not touched anything."""


def a_feature(work: Work) -> None:
    """A feature beside the example, which stays."""
    for edit in (add_a_setting, add_a_feature, extend_the_application):
        edit(work)


def a_year(work: Work) -> None:
    """All of it."""
    for edit in (
        add_a_feature,
        add_a_setting,
        change_the_pool,
        add_dependencies,
        extend_the_application,
        write_its_own_words,
        patch_by_hand,
        delete_files_of_the_template,
        delete_the_example,
        extend_the_pipeline,
        has_its_own_image_and_pipeline,
    ):
        edit(work)
