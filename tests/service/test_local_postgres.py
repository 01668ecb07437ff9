"""The embedded PostgreSQL: one server for a checkout, and none without a process."""

import contextlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from tests.harness.project import Project, wait_until
from tests.harness.types import Render

STOP_TIMEOUT_SECONDS = 20
KEEP = """
import sys, time
from app.core.db.local_postgres import start
start()
print("ready", flush=True)
time.sleep(float(sys.argv[1]))
"""
QUERY = """
import asyncio, asyncpg
from sqlalchemy import make_url
from app.core.db.local_postgres import start
url = make_url(start())
connect = asyncpg.connect(host=url.query["host"], port=5432, user="postgres", database="postgres")
async def main():
    connection = await connect
    print(await connection.fetchval("SELECT pg_postmaster_start_time()"))
    await connection.close()
asyncio.run(main())
"""

AS_THE_SERVICE = """
import asyncio, sys, asyncpg
from app.core.config import settings
url = settings.DATABASE_URL
async def main():
    connection = await asyncpg.connect(
        host=url.query["host"], port=5432, user=url.username, database=url.database
    )
    await connection.execute(sys.argv[1])
    print(await connection.fetchval(sys.argv[2]))
    await connection.close()
asyncio.run(main())
"""


@pytest.fixture
def project(installed: Render, tmp_path: Path) -> Generator[Project]:
    """A project of the test's own, whose path has a space, run with another's packages."""
    source = installed()
    project = source.copy_with_environment(tmp_path / "my project")
    yield project
    assert_stops(project)


def run(
    project: Project, program: str, *arguments: str, **environment: str | None
) -> str:
    python = project.path / ".venv" / "bin" / "python"
    environment.setdefault("PYTHONPATH", str(project.path))
    return project.run(python, "-c", program, *arguments, **environment).stdout


def servers(project: Project) -> dict[int, str]:
    """Return the processes of the server with its data in the project, and their commands."""
    data = str(project.path / ".local" / "postgres")
    found = {}
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            command = (directory / "cmdline").read_text()
        except OSError:
            continue
        if data in command:
            found[int(directory.name)] = command
    return found


def supervisors_of(project: Project) -> list[int]:
    commands = servers(project).items()
    return [process for process, command in commands if "local_postgres.py" in command]


def supervisor_of(project: Project) -> int:
    # A program that it starts has its command line for a moment.
    wait_until(lambda: len(supervisors_of(project)) == 1)
    return supervisors_of(project)[0]


def server_of(project: Project) -> int:
    file = project.path / ".local" / "postgres" / "data" / "postmaster.pid"
    return int(file.read_text().split()[0])


def assert_stops(project: Project) -> None:
    deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
    while servers(project):
        assert time.monotonic() < deadline, "A server is left running."
        time.sleep(0.05)
    log = project.path / ".local" / "postgres" / "log"
    for line in log.read_text().splitlines() if log.exists() else []:
        if "listening on Unix socket" in line:
            sockets = Path(line.split('"')[1]).parent
            assert not sockets.exists(), f"{sockets} is left behind."


def test_processes_of_one_checkout_share_a_server(project: Project) -> None:
    with project.start("python", "-c", KEEP, "30", PYTHONPATH=str(project.path)):
        first, second = run(project, QUERY), run(project, QUERY)

    assert first == second


def test_row_level_security_and_grants_apply_to_the_service(project: Project) -> None:
    prepare = """
        CREATE TABLE invoice (tenant int);
        INSERT INTO invoice VALUES (1), (2);
        ALTER TABLE invoice ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
        CREATE POLICY own ON invoice USING (tenant = 1);
        CREATE ROLE auditor;
        GRANT auditor TO CURRENT_USER;
        GRANT SELECT ON invoice TO auditor;
        SET ROLE auditor;
    """
    result = (
        "SELECT format('%s %s', count(*), has_table_privilege('invoice', 'INSERT'))"
        " FROM invoice"
    )

    assert run(project, AS_THE_SERVICE, prepare, result) == "1 f\n"


def test_a_revision_may_create_every_extension_that_is_there(project: Project) -> None:
    create = """
        DO $$ DECLARE extension text; BEGIN
            FOR extension IN SELECT name FROM pg_available_extensions LOOP
                EXECUTE format('CREATE EXTENSION IF NOT EXISTS %I CASCADE', extension);
            END LOOP;
        END $$
    """
    missing = (
        "SELECT count(*) FROM pg_available_extensions WHERE installed_version IS NULL"
    )

    assert run(project, AS_THE_SERVICE, create, missing) == "0\n"
    assert "vector" in run(
        project,
        AS_THE_SERVICE,
        "SELECT '[1,2]'::vector <-> '[1,3]'",
        "SELECT string_agg(extname, ' ') FROM pg_extension",
    )


def test_data_from_before_the_service_had_a_role_is_still_used(
    project: Project,
) -> None:
    """Such data has no other role than the superuser, and the service stays that."""
    run(project, AS_THE_SERVICE, "SELECT 1", "SELECT 1")
    assert_stops(project)
    (project.path / ".local" / "postgres" / "data" / "role-created").unlink()
    create = "CREATE TABLE kept AS SELECT 7 AS value"

    run(project, AS_THE_SERVICE, create, "SELECT 1")
    owner = run(
        project, AS_THE_SERVICE, "SELECT value FROM kept", "SELECT current_user"
    )

    assert owner == "postgres\n"


def test_two_checkouts_do_not_meet(project: Project, tmp_path: Path) -> None:
    other = project.copy_with_environment(tmp_path / "other")

    with project.start("python", "-c", KEEP, "30", PYTHONPATH=str(project.path)):
        assert run(project, QUERY) != run(other, QUERY)
    assert_stops(other)


def test_a_checkout_copied_while_its_server_runs_gets_a_server_of_its_own(
    project: Project, tmp_path: Path
) -> None:
    with project.start("python", "-c", KEEP, "60", PYTHONPATH=str(project.path)):
        original = run(project, QUERY)
        copy = Project(tmp_path / "copy")
        subprocess.run(["cp", "-r", project.path, copy.path], check=True)
        (copy.path / ".local" / "postgres" / "log").unlink()

        assert run(copy, QUERY) != original
        assert_stops(copy)
        assert run(project, QUERY) == original


def test_a_checkout_moved_while_its_server_runs_does_not_hang(
    project: Project, tmp_path: Path
) -> None:
    """PostgreSQL itself ends soon after that, and is then started again."""
    moved = Project(tmp_path / "moved")
    with project.start("python", "-c", KEEP, "60", PYTHONPATH=str(project.path)):
        before = run(project, QUERY)
        project.path.rename(moved.path)

        assert run(moved, QUERY) == before
        os.kill(server_of(moved), signal.SIGKILL)
        assert run(moved, QUERY) != before
    assert_stops(moved)


def test_failed_starts_count_only_in_a_row(project: Project, tmp_path: Path) -> None:
    """Meanwhile the configuration is a pipe: a start waits for what the test writes."""
    root = project.path / ".local" / "postgres"
    included, empty = tmp_path / "included.conf", tmp_path / "empty.conf"

    def failures() -> int:
        return (root / "log").read_text().count("could not start server")

    def fail_one_start() -> bool:
        with contextlib.suppress(OSError):  # Until something reads it.
            pipe = os.open(included, os.O_WRONLY | os.O_NONBLOCK)
            os.write(pipe, b"nonsense\n")
            os.close(pipe)
            return True
        return False

    with project.start("python", "-c", KEEP, "300", PYTHONPATH=str(project.path)):
        run(project, QUERY)
        supervisor = supervisor_of(project)
        with (root / "data" / "postgresql.conf").open("a") as configuration:
            configuration.write(f"include = '{included}'\n")
        for before in (0, 2):
            included.unlink(missing_ok=True)
            os.mkfifo(included)
            os.kill(server_of(project), signal.SIGKILL)
            for count in (1, 2):
                wait_until(fail_one_start)
                wait_until(lambda expected=before + count: failures() == expected)
            waiting = os.open(included, os.O_RDWR)
            empty.touch()
            empty.rename(included)
            os.close(waiting)
            run(project, QUERY)

        assert supervisor_of(project) == supervisor


@pytest.mark.parametrize(
    "environment",
    [
        {"HOME": None},
        {"LANG": "xx_YY.UTF-8", "LC_ALL": "xx_YY.UTF-8"},
        {"PGHOST": "elsewhere", "PGPORT": "1", "PGUSER": "nobody", "PGDATA": "/none"},
        {"TMPDIR": "/nonexistent"},
    ],
    ids=lambda environment: "-".join(environment),
)
def test_the_environment_does_not_disturb_it(
    project: Project, environment: dict[str, str | None]
) -> None:
    assert run(project, QUERY, **environment)


def test_strings_sort_alike_everywhere(project: Project) -> None:
    program = QUERY.replace(
        "SELECT pg_postmaster_start_time()",
        "SELECT string_agg(x, '' ORDER BY x) FROM unnest('{a,B,ä,_,1}'::text[]) AS x",
    )

    assert run(project, program, LANG="de_DE.UTF-8").strip() == "1B_aä"


def test_the_local_postgres_survives_the_death_of_any_of_its_processes(
    project: Project,
) -> None:
    with project.start("python", "-c", KEEP, "60", PYTHONPATH=str(project.path)):
        before = run(project, QUERY)
        for process in servers(project):  # The supervisor and PostgreSQL alike.
            os.kill(process, signal.SIGKILL)
        assert run(project, QUERY) != before
        before = run(project, QUERY)
        os.kill(supervisor_of(project), signal.SIGKILL)
        assert run(project, QUERY) == before


def test_processes_killed_at_random_neither_fail_nor_leave_anything(
    project: Project, record_property: Callable[..., None]
) -> None:
    chance = random.Random(20260101)
    python = project.path / ".venv" / "bin" / "python"
    running: list[subprocess.Popen[str]] = []
    failures = []
    for _ in range(80):
        running.append(
            subprocess.Popen(
                [python, "-c", KEEP, str(chance.choice([0, 0.1, 0.5, 60]))],
                env=project.environment({"PYTHONPATH": str(project.path)}),
                cwd=project.path,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
        time.sleep(chance.choice([0, 0, 0.05, 0.3, 0.8]))
        if chance.random() < 0.5:
            chance.choice(running).kill()
        if chance.random() < 0.1:
            for process in running:
                process.kill()
    time.sleep(3)
    for process in running:
        # Those that still run wait on purpose: they must have got their server.
        if process.poll() is None:
            process.kill()
            output, _ = process.communicate(timeout=30)
            if "ready" not in output:
                failures.append(f"hung: {output}")
        else:
            output, _ = process.communicate(timeout=30)
            if process.returncode not in (0, -signal.SIGKILL):
                failures.append(output)

    assert failures == []
    record_property(
        "measure",
        f"{len(running)} processes started and killed at random: {len(failures)} failed "
        "to get their PostgreSQL.",
    )


def test_the_local_postgres_runs_for_an_ordinary_user(project: Project) -> None:
    """As root, become somebody who may only read what root owns, as others could."""
    python = str(project.path / ".venv" / "bin" / "python")
    become: list[str] = []
    if os.geteuid() == 0:
        os.chown(project.path, 1000, 1000)
        capability = "-all,+dac_read_search"
        become = ["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups"]
        become += [f"--inh-caps={capability}", f"--ambient-caps={capability}"]
        become += ["--securebits=+no_setuid_fixup"]

    project.run(*become, python, "-c", QUERY, PYTHONPATH=str(project.path))

    owner = (project.path / ".local" / "postgres" / "data").stat().st_uid
    assert owner == project.path.stat().st_uid != 0
