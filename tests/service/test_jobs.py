"""What the how-to guide about jobs shows, in a service."""

import json
import threading
import uuid
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.harness.pages import HOW_TO, blocks, section
from tests.harness.project import Project, wait_until
from tests.harness.types import Render

ENQUEUE = """
import asyncio, uuid
from app.core.database import async_session_factory
from app.core.jobs import enqueue
from app.hooks.jobs import announce

async def main():
    async with async_session_factory.begin() as session:
        await enqueue(session, announce.call(uuid.UUID(int=1)))

asyncio.run(main())
"""


@pytest.fixture
def project(installed: Render, tmp_path: Path) -> Project:
    """A service to change, with the dependencies of another one."""
    return installed(jobs=True).copy_with_environment(tmp_path / "project")


class Receiver(ThreadingHTTPServer):
    """Fails once, and keeps the idempotency keys that it gets."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Delivery)
        self.url = f"http://127.0.0.1:{self.server_port}/hook"
        self.deliveries: list[tuple[str | None, bytes]] = []


class Delivery(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        deliveries = self.server.deliveries
        deliveries.append((self.headers["Idempotency-Key"], body))
        self.send_response(500 if len(deliveries) == 1 else 204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def receiver() -> Generator[Receiver]:
    with Receiver() as receiver:
        threading.Thread(target=receiver.serve_forever).start()
        yield receiver
        receiver.shutdown()


def test_a_webhook_is_sent_with_one_key_until_it_is_received(
    project: Project, receiver: Receiver
) -> None:
    webhook, test = blocks(section(HOW_TO, "Send a webhook"), "python")
    feature = project.path / "app" / "hooks"
    feature.mkdir()
    (feature / "__init__.py").touch()
    (feature / "jobs.py").write_text(webhook)
    config = project.path / "app" / "core" / "config.py"
    anchor = (
        "    # Yours from here on: an update changes only what is above this line.\n"
    )
    setting = '    WEBHOOK_URL: str = ""\n'
    config.write_text(config.read_text().replace(anchor, anchor + setting))
    (project.path / "tests" / "test_hooks.py").write_text(test)
    for command in ("ruff check", "ruff format --check", "ty check"):
        project.run(*command.split(), "app/hooks", "tests/test_hooks.py")
    assert "1 passed" in project.run("pytest", "-q", "tests/test_hooks.py").stdout

    def log() -> str:
        return (project.path / "output.txt").read_text()

    # Its own code, and not that of the service whose packages it has.
    with project.serve(WEBHOOK_URL=receiver.url, PYTHONPATH=str(project.path)):
        assert "/docs, with a worker that runs its jobs\n" in log()
        project.run("python", "-c", ENQUEUE)
        wait_until(lambda: len(receiver.deliveries) == 2)

        (feature / "jobs.py").write_text(webhook.replace('"item"', '"changed"'))
        wait_until(lambda: log().count("worker starts") == 2)
        project.run("python", "-c", ENQUEUE)
        wait_until(lambda: len(receiver.deliveries) == 3)

    (key, first), again, (other, changed) = receiver.deliveries
    assert again == (key, first)
    assert key not in (None, other)
    assert json.loads(first) == {"item": str(uuid.UUID(int=1))}
    assert json.loads(changed) == {"changed": str(uuid.UUID(int=1))}


def test_a_job_of_the_guide_runs_in_the_transaction_of_the_test(
    project: Project,
) -> None:
    declared, enqueued = blocks(section(HOW_TO, "Declare and enqueue a job"), "python")
    (test,) = blocks(section(HOW_TO, "Test jobs"), "python")
    items = project.path / "app" / "items"
    _, function = declared.split("\n\n\n")
    jobs = items / "jobs.py"
    jobs.write_text(f"{jobs.read_text()}\n\n{function}")
    routes = items / "routes.py"
    before = "        await enqueue(session, add_first_note.call(item.id))\n"
    text = routes.read_text().replace(
        "import add_first_note", "import add_first_note, restock"
    )
    assert text.count(before) == 1
    routes.write_text(text.replace(before, f"{before}        {enqueued}"))
    (project.path / "tests" / "items" / "test_restock.py").write_text(test)

    for command in ("ruff check", "ruff format --check", "ty check"):
        project.run(*command.split(), "app/items")

    assert (
        "1 passed" in project.run("pytest", "-q", "tests/items/test_restock.py").stdout
    )


def test_each_migration_of_an_upgraded_library_gets_a_revision_of_its_own(
    project: Project, installed: Render
) -> None:
    """The library that is installed has two more than the revisions run."""
    (first,) = (project.path / "alembic" / "versions").glob("*-create_jobs.py")
    newest = "03.04.00_50_post_add_retry_failed_job_procedure"
    older = "03.03.00_01_pre_priority_lock_fetch_job"
    first.write_text(first.read_text().replace(newest, older))
    tests = (
        "pytest",
        "-q",
        "-x",
        "tests/test_migrations.py",
        "tests/core/test_jobs.py",
    )

    # Its own code, and not that of the service whose packages it has.
    script = (
        "env",
        f"PYTHONPATH={project.path}",
        "python",
        "scripts/new_job_revisions.py",
    )

    failed = project.run(*tests, check=False).stdout
    written = project.run(*script).stdout
    project.run(*tests)
    again = project.run(*script).stdout

    assert "write what is missing with `uv run python scripts/new_job_rev" in failed
    assert written.count("Generating") == 2
    assert again == "Every migration of Procrastinate has a revision.\n"
    for command in ("ruff check", "ruff format --check", "ty check"):
        project.run(*command.split(), "alembic")
