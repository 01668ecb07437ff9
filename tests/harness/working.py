"""Workers as production runs them, and the jobs that a test gives them."""

import contextlib
from collections.abc import Generator
from pathlib import Path

import httpx2

from tests.harness.postgres import Postgres
from tests.harness.project import Project, free_port, wait_until

TABLES = """
    CREATE TABLE IF NOT EXISTS trial_start (
        name text, attempt int, at timestamptz DEFAULT clock_timestamp()
    );
    CREATE TABLE IF NOT EXISTS trial_write (key uuid PRIMARY KEY, number int)
"""


class Worker:
    """A worker that runs until it is ended, or started again."""

    def __init__(self, project: Project, postgres: Postgres, **settings: str) -> None:
        self.project, self.port = project, free_port()
        self.environment = {
            "ENVIRONMENT": "production",
            "DATABASE_URL": postgres.url,
            **settings,
        }
        self.start()

    def start(self) -> None:
        self.process = self.project.spawn(
            *("python", "-m", "app.core.worker", "--port", str(self.port)),
            log=f"worker-{self.port}.txt",
            **self.environment,
        )

    def status(self, probe: str = "/readyz") -> int | None:
        """Return the status of a probe, or None if nothing responds."""
        with contextlib.suppress(httpx2.TransportError):
            return httpx2.get(f"http://127.0.0.1:{self.port}{probe}").status_code
        return None

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(timeout=30)

    def terminate(self) -> int:
        """End it as an orchestrator does, and return the exit code."""
        self.process.terminate()
        return self.process.wait(timeout=60)


@contextlib.contextmanager
def working(project: Project, postgres: Postgres, **settings: str) -> Generator[Worker]:
    """Run a worker, on an empty and migrated database, while the context lasts."""
    worker = Worker(project, postgres, **settings)
    try:
        wait_until(lambda: worker.status() == 200)
        yield worker
    finally:
        worker.kill()


def prepare(project: Project, postgres: Postgres, jobs: Path) -> None:
    """Give a project jobs for a test, and migrate an empty database."""
    feature = project.path / "app" / "trials"
    feature.mkdir(exist_ok=True)
    (feature / "__init__.py").touch()
    (feature / "jobs.py").write_text(jobs.read_text())
    project.run("alembic", "upgrade", "head", DATABASE_URL=postgres.url)
    postgres.query(TABLES)
    postgres.empty()


def store(
    postgres: Postgres, name: str, arguments: str = "'{}'", count: int = 1
) -> None:
    """Store jobs as the service does; in the arguments, `number` counts them."""
    postgres.query(
        "SELECT procrastinate_defer_jobs_v1(array_agg(ROW("
        f"'{name}', '{name}', 0, NULL, NULL, {arguments}::jsonb, NULL"
        f")::procrastinate_job_to_defer_v1)) FROM generate_series(1, {count}) AS number"
    )
