"""The schema changes of the how-to, while clients read and write."""

import asyncio
import contextlib
import re
import textwrap
import threading
from collections import Counter
from collections.abc import Generator
from itertools import count
from pathlib import Path
from typing import Self

import httpx2
import pytest

from tests.harness.pages import HOW_TO, blocks, section
from tests.harness.postgres import Postgres
from tests.harness.project import Project, free_port, wait_until
from tests.harness.revisions import add_revision, newest_revision
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
ROWS = 20_000
INSERT_MANY = (
    "INSERT INTO item (id, name, description, quantity, version)"
    " SELECT gen_random_uuid(),"
    f" 'Old ' || n, 'Of old ' || n, 0, 1 FROM generate_series(1, {ROWS}) AS n"
)


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


def releases(first: Project, directory: Path) -> Generator[Project]:
    """Make the releases of the how-to, one after the other."""
    page = section(HOW_TO, "Rename a column")
    _, *steps = re.split(r"^[0-9]\. ", page, flags=re.MULTILINE)
    assert len(steps) == 4
    before, head, model = first, newest_revision(first), ""
    text = (first.path / "app" / "models" / "item.py").read_text()
    assert text.count(OLD) == 1
    for number, step in enumerate(steps, 1):
        project = before.copy(directory / f"release-{number}")
        (project.path / ".venv").symlink_to(first.path / ".venv")
        code = blocks(step, "python")
        for upgrade in [block for block in code if "def upgrade" in block]:
            head = add_revision(project, upgrade, head, f"release_{number}")
        # The last step takes away what the one before has put at the end.
        model, *tail = [block for block in code if "def upgrade" not in block] or [
            model
        ]
        path = project.path / "app" / "models" / "item.py"
        imports = (
            "from sqlalchemy import Column\nfrom sqlalchemy.orm import validates\n"
        )
        docstring, rest = text.split("\n", 1)
        rest = rest.replace(OLD, textwrap.indent(model, "    "))
        path.write_text("\n".join([docstring, imports, rest, *tail]))
        project.run("ruff", "check", "--fix", "--quiet", "app")
        project.run("ruff", "format", "--quiet", "app")
        project.run("ty", "check", "app")
        yield project
        before = project


@pytest.mark.promise(26)
def test_a_column_changes_its_name_and_nobody_notices(
    project: Project, postgres: Postgres, tmp_path: Path, measure: Measure
) -> None:
    settings = {**SETTINGS, "DATABASE_URL": postgres.url}
    project.run("alembic", "upgrade", "head", **settings)
    postgres.empty()
    postgres.query(INSERT_MANY)
    with contextlib.ExitStack() as stack, Clients() as clients:
        running = contextlib.ExitStack()
        stack.callback(lambda: running.close())
        clients.services = [running.enter_context(serve(project, postgres))]
        clients.started.set()
        for new in releases(project, tmp_path):
            new.run("alembic", "upgrade", "head", **settings)
            new.run("alembic", "check", **settings)
            started = contextlib.ExitStack()
            clients.services.append(started.enter_context(serve(new, postgres)))
            clients.wait_for(200)
            clients.services.pop(0)
            running.close()
            running = started
        clients.wait_for(200)
    filled = "SELECT count(*) FROM item WHERE summary LIKE 'Of old %'"

    measure(
        f"Four releases that rename a column of {ROWS} rows, under load: "
        f"{dict(clients.outcomes)}, {len(clients.lies)} failed or wrong."
    )
    assert clients.lies == []
    assert set(clients.outcomes) == {200, 201}
    assert postgres.query(filled) == str(ROWS)


@pytest.mark.promise(26)
def test_a_revision_that_waits_for_its_lock_fails_no_request(
    project: Project, postgres: Postgres, tmp_path: Path, measure: Measure
) -> None:
    settings = {**SETTINGS, "DATABASE_URL": postgres.url}
    new = project.copy(tmp_path / "waiting")
    (new.path / ".venv").symlink_to(project.path / ".venv")
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
