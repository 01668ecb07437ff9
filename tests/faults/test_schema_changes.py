"""The schema changes of the how-to, while clients read and write."""

import asyncio
import contextlib
import re
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Self

import httpx2
import pytest

from tests.harness.pages import HOW_TO, blocks, section
from tests.harness.postgres import Postgres
from tests.harness.project import Project, free_port, wait_until
from tests.harness.revisions import add_revision, lint_revisions, newest_revision
from tests.harness.serving import SETTINGS, Service
from tests.harness.types import Measure

# Each waits for a table that a reader has: its own, another one's, outside a transaction.
WAITING = {
    "one_table": """
def upgrade() -> None:
    op.add_column("item", sa.Column("waits", sa.Integer()))
""",
    "two_tables": """
def upgrade() -> None:
    op.add_column("note", sa.Column("waits", sa.Integer()))
    op.add_column("item", sa.Column("waits_too", sa.Integer()))
""",
    "autocommit": """
def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("ALTER TABLE item ADD COLUMN IF NOT EXISTS waits_again int")
""",
}
OLD = "    description: Mapped[str | None] = mapped_column(String(1000))\n"
IMPORTS = """
import enum

from sqlalchemy import Column
from sqlalchemy.orm import validates
"""
# The guides, and what the model has before their first release.
GUIDES = {
    "Rename a column": OLD.strip(),
    "Remove a column": """
color: Mapped[str] = mapped_column(String(20), default="red")
""",
    "Make a column required": """
shape: Mapped[str | None] = mapped_column(String(20))
""",
    "Add a foreign key or a CHECK constraint": """
shelf: Mapped[int | None]
parent_id: Mapped[uuid.UUID | None]
""",
    "Make a column unique": """
code: Mapped[str | None] = mapped_column(String(20))
""",
    "Change the type of a column": """
label: Mapped[str] = mapped_column(String(100), default="")
""",
    "Add a value to an enum": """
state: Mapped[State] = mapped_column(default=State.NEW)
""",
    "Remove a value from an enum": """
grade: Mapped[Grade] = mapped_column(default=Grade.A)
""",
    "Migrate data in Python": "",
}
ENUMS = {
    "Add a value to an enum": """
class State(enum.StrEnum):
    NEW = "new"
    SOLD = "sold"
""",
    "Remove a value from an enum": """
class Grade(enum.StrEnum):
    A = "a"
    B = "b"
    C = "c"
""",
}
ROWS = 5_000
INSERT_MANY = (
    "INSERT INTO item"
    " (id, name, description, quantity, version, color, label, state, grade)"
    " SELECT gen_random_uuid(), 'Old ' || n, 'Of old ' || n, 0, 1, 'red', '', 'new',"
    f" (ARRAY['a', 'b', 'c'])[1 + n % 3] FROM generate_series(1, {ROWS}) AS n"
)
# What the release does that comes after the one that can read it, here to the clients'
# own rows, which they read and change.
WRITE_NEW_VALUE = "UPDATE item SET state = 'lost' WHERE name LIKE 'Lamp%'"


class Clients:
    """Clients that write and read until they are stopped, and note what goes wrong."""

    def __init__(self) -> None:
        self.services: list[httpx2.URL] = []
        self.outcomes: Counter[object] = Counter()
        self.lies: list[str] = []
        self.started = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._work()))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self.started.set()
        self._thread.join(timeout=60)
        assert not self._thread.is_alive()

    def wait_for(self, requests: int) -> None:
        """Return after so many more requests, or once something went wrong."""
        before = self.outcomes.total()
        wait_until(lambda: self.lies or self.outcomes.total() >= before + requests)

    async def _work(self) -> None:
        await asyncio.to_thread(self.started.wait)
        numbers = count()
        async with httpx2.AsyncClient(timeout=30) as client:
            try:
                await asyncio.gather(*(self._use(client, numbers) for _ in range(4)))
            except httpx2.TransportError as error:
                self.lies.append(repr(error))

    async def _use(self, client: httpx2.AsyncClient, numbers: "count[int]") -> None:
        while not self._stop.is_set():
            number = next(numbers)
            item = {"name": f"Lamp {number}", "description": f"Of {number}"}
            created = await self._ask(client, number, "POST", "/items", json=item)
            path = f"/items/{created.json()['id']}"
            changed = {"description": f"Not of {number}"}
            headers = {"If-Match": created.headers.get("etag", "*")}
            for request in (
                ("GET", path, item, {}),
                ("PATCH", path, changed, {"json": changed, "headers": headers}),
                ("GET", path, changed, {}),
            ):
                method, path, expected, options = request
                # Another process may answer, of another release.
                number += 1
                answer = await self._ask(client, number, method, path, **options)
                if not expected.items() <= answer.json().items():
                    self.lies.append(f"{method} {answer.text}, not {expected}")

    async def _ask(
        self, client: httpx2.AsyncClient, number: int, method: str, path: str, **options
    ) -> httpx2.Response:
        service = self.services[number % len(self.services)]
        response = await client.request(method, service.join(path), **options)
        self.outcomes[response.status_code] += 1
        if response.status_code >= 400:
            self.lies.append(f"{method} {path}: {response.text}")
        return response


@contextlib.contextmanager
def serve(project: Project, postgres: Postgres) -> Generator[httpx2.URL]:
    """Serve, and end as a rolling restart ends a process."""
    port = free_port()
    command = ("python", "-m", "app.core.serve", "--port", str(port))
    settings = {**SETTINGS, "DATABASE_URL": postgres.url, "DRAIN_SECONDS": "1"}
    with project.serve(*command, port=port, **settings) as client:
        wait_until(lambda: client.get("/readyz").status_code == 200)
        yield client.base_url
        assert Service(client).terminate() == 0


@dataclass
class Guide:
    """The releases of a guide, and what the newest of them has in the module of items."""

    steps: list[str]
    columns: str
    enum: str
    forgotten: str = ""

    def advance(self, number: int) -> list[str]:
        """Change the module as a release does, and return the release's revisions."""
        if number > len(self.steps):
            return []
        code = blocks(self.steps[number - 1], "python")
        revisions = [block for block in code if "def upgrade" in block]
        enums = [block for block in code if "enum.StrEnum" in block]
        forgotten = [block for block in code if "Base.metadata" in block]
        columns = [
            block for block in code if block not in (*revisions, *enums, *forgotten)
        ]
        if columns or forgotten:
            self.columns = "\n".join(columns)
        self.enum = "\n".join(enums) or self.enum
        self.forgotten = "\n".join(forgotten)
        return revisions


def read_guides() -> list[Guide]:
    # A step is what stands beside its number, or is indented below it.
    step = re.compile(r"^[0-9]\. (.*\n(?:(?: .*)?\n)*)", re.MULTILINE)
    return [
        Guide(step.findall(section(HOW_TO, heading)), columns, ENUMS.get(heading, ""))
        for heading, columns in GUIDES.items()
    ]


def write_model(project: Project, original: str, guides: list[Guide]) -> None:
    docstring, rest = original.split("\n", 1)
    columns = "\n".join(guide.columns for guide in guides)
    for before, after in (
        (OLD, textwrap.indent(columns, "    ")),
        ("class Item(", "\n".join([*(g.enum for g in guides), "", "class Item("])),
    ):
        assert rest.count(before) == 1
        rest = rest.replace(before, after)
    path = project.path / "app" / "models" / "item.py"
    forgotten = [guide.forgotten for guide in guides]
    path.write_text("\n".join([docstring, IMPORTS, rest, *forgotten]))
    project.run("ruff", "check", "--fix", "--quiet", "app")
    project.run("ruff", "format", "--quiet", "app")
    project.run("ty", "check", "app")


def releases(first: Project, directory: Path, url: str) -> Generator[Project]:
    """Make the releases of all the guides at once: first what they begin with."""
    guides = read_guides()
    original = (first.path / "app" / "models" / "item.py").read_text()
    write_model(first, original, guides)
    settings = {**SETTINGS, "DATABASE_URL": url}
    first.run("alembic", "revision", "--autogenerate", "-m", "Before", **settings)
    yield first
    before, head = first, newest_revision(first)
    for number in range(1, max(len(guide.steps) for guide in guides) + 1):
        project = before.copy_with_environment(directory / f"release-{number}", first)
        added = []
        for upgrade in [each for guide in guides for each in guide.advance(number)]:
            name = f"release_{number}_{len(added)}"
            head = add_revision(project, upgrade, head, name)
            added.append(head)
        if added:
            lint_revisions(project, added, url)
        write_model(project, original, guides)
        yield project
        before = project


def migrate_beside_readers(
    project: Project, postgres: Postgres, clients: Clients
) -> None:
    """Migrate while there is a transaction that reads, almost always a different one."""
    settings = {**SETTINGS, "DATABASE_URL": postgres.url}
    with project.start("alembic", "upgrade", "head", **settings) as migration:
        while migration.poll() is None:
            with postgres.reading():
                clients.wait_for(100)
        output = (project.path / "output.txt").read_text()
        assert migration.returncode == 0, output


@pytest.fixture
def postgres(project: Project, tmp_path: Path) -> Generator[Postgres]:
    """A server for each test, because each leaves revisions that the other lacks."""
    postgres = Postgres(project, tmp_path / "postgres")
    postgres.start()
    yield postgres
    postgres.close()


@pytest.mark.promise(26)
def test_the_schema_changes_of_the_guides_fail_no_request(
    project: Project, postgres: Postgres, tmp_path: Path, measure: Measure
) -> None:
    settings = {**SETTINGS, "DATABASE_URL": postgres.url}
    project.run("alembic", "upgrade", "head", **settings)
    first = project.copy_with_environment(tmp_path / "release-0")
    made = releases(first, tmp_path, postgres.url)
    next(made).run("alembic", "upgrade", "head", **settings)
    postgres.empty()
    postgres.query(INSERT_MANY)
    seconds = 0.0
    with contextlib.ExitStack() as stack, Clients() as clients:
        running = contextlib.ExitStack()
        stack.callback(lambda: running.close())
        clients.services = [running.enter_context(serve(first, postgres))]
        clients.started.set()
        start = time.monotonic()
        for new in made:
            migrate_beside_readers(new, postgres, clients)
            new.run("alembic", "check", **settings)
            started = contextlib.ExitStack()
            clients.services.append(started.enter_context(serve(new, postgres)))
            clients.wait_for(200)
            clients.services.pop(0)
            running.close()
            running = started
            postgres.query(WRITE_NEW_VALUE)
        clients.wait_for(200)
        seconds = time.monotonic() - start

    measure(
        f"The schema changes of {len(GUIDES)} guides on {ROWS} rows, beside readers, at "
        f"{clients.outcomes.total() / seconds:.0f} requests/s: {dict(clients.outcomes)}, "
        f"{len(clients.lies)} failed or wrong."
    )
    assert clients.lies == []
    assert set(clients.outcomes) == {200, 201}
    for rows in (
        "item WHERE summary IS NULL OR shape IS NULL OR slug IS NULL OR grade = 'c'",
        "pg_constraint WHERE NOT convalidated",
        "pg_index WHERE NOT indisvalid",
    ):
        assert postgres.query(f"SELECT count(*) FROM {rows}") == "0"


@pytest.mark.promise(26)
def test_a_revision_that_waits_for_its_lock_fails_no_request(
    project: Project, postgres: Postgres, tmp_path: Path, measure: Measure
) -> None:
    settings = {**SETTINGS, "DATABASE_URL": postgres.url}
    new = project.copy_with_environment(tmp_path / "waiting")
    project.run("alembic", "upgrade", "head", **settings)
    postgres.empty()
    log = new.path / "output.txt"
    head = newest_revision(project)
    with serve(project, postgres) as url, Clients() as clients:
        clients.services = [url]
        clients.started.set()
        for name, upgrade in WAITING.items():
            head = add_revision(new, upgrade, head, name)
            reader = contextlib.ExitStack()
            reader.enter_context(postgres.reading("item"))
            with reader, new.start("alembic", "upgrade", "head", **settings) as run:
                wait_until(lambda: log.read_text().count("retrying") == 2)
                assert run.poll() is None
                reader.close()
                assert run.wait(timeout=60) == 0, log.read_text()
            clients.wait_for(100)

    measure(
        f"{len(WAITING)} revisions that wait for a reader, under load: "
        f"{dict(clients.outcomes)}, {len(clients.lies)} failed or wrong."
    )
    assert clients.lies == []
    assert f"{head} (head)" in new.run("alembic", "current", **settings).stdout
