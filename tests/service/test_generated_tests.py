"""The tests of a rendered service, beside what a team or a server already has."""

from collections.abc import Generator
from pathlib import Path

import pytest

from tests.harness.postgres import Postgres
from tests.harness.project import wait_until
from tests.harness.types import Render

# They differ only behind the part that fits into a name beside that of a test.
LONG = [
    f"a_team_and_its_department_and_the_long_name_of_a_service_{i:03}" for i in (1, 2)
]

NAME = """from sqlalchemy import text

async def test_name(connection):
    print("name:", await connection.scalar(text("SELECT current_database()")))
"""


@pytest.fixture
def postgres(installed: Render, tmp_path: Path) -> Generator[Postgres]:
    postgres = Postgres(installed(), tmp_path / "postgres")
    postgres.start()
    yield postgres
    postgres.stop()


def test_they_run_beside_pytest_asyncio(installed: Render, tmp_path: Path) -> None:
    project = installed().copy(tmp_path / "project")
    project.run("uv", "add", "--quiet", "--dev", "pytest-asyncio")

    output = project.run("pytest", "-q", "tests/test_main.py", "tests/items").stdout

    assert "INTERNALERROR" not in output
    assert "passed" in output


def test_they_run_beside_databases_with_long_names(
    installed: Render, postgres: Postgres, tmp_path: Path
) -> None:
    project = installed().copy_with_environment(tmp_path / "project")
    test = project.path / "tests" / "test_name.py"
    test.write_text(NAME)
    found = set()
    for name in LONG:
        assert len(name) == 60
        postgres.query(f"CREATE DATABASE {name}")
        url = postgres.url.removesuffix("postgres") + name
        tests = ("pytest", "-q", "-s", "tests/test_name.py", "tests/test_main.py")
        output = project.run(*tests, DATABASE_URL=url).stdout
        found.add(output.split("name: ")[1].split()[0])

    assert len(found) == 2
    databases = postgres.query("SELECT datname FROM pg_database ORDER BY datname")
    assert databases.split() == [*LONG, "postgres", "template0", "template1"]


def test_they_replace_a_database_in_which_autovacuum_is_at_work(
    installed: Render, postgres: Postgres, tmp_path: Path
) -> None:
    """Its process is a superuser's, which the owner of the database may not end."""
    project = installed().copy_with_environment(tmp_path / "project")
    for setting in ("naptime = 1", "vacuum_cost_delay = 100", "vacuum_cost_limit = 1"):
        postgres.query(f"ALTER SYSTEM SET autovacuum_{setting}")
    postgres.query("SELECT pg_reload_conf()")
    postgres.query("CREATE ROLE service LOGIN CREATEDB")
    url = postgres.url.replace("postgres@", "service@").removesuffix("postgres")
    for name in ("service", "service_test_0"):
        postgres.query(f"CREATE DATABASE {name} OWNER service")
    for sql in (
        "CREATE TABLE old AS SELECT repeat('x', 500) FROM generate_series(1, 50000)",
        "DELETE FROM old",
    ):
        postgres.query(sql, f"{url}service_test_0")
    at_work = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = 'service_test_0' AND backend_type = 'autovacuum worker'"
    )
    wait_until(lambda: postgres.query(at_work) != "0")

    output = project.run(
        "pytest", "-q", "tests/test_main.py", DATABASE_URL=f"{url}service"
    ).stdout

    assert "4 passed" in output
