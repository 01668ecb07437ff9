"""The rendered service, installed and used as its team uses it."""

import json
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.project import Project, free_port, wait_for_reload, wait_until
from tests.harness.types import Render

IN_SERVICE = Path(__file__).parent / "in_service"
# For what ends before it listens: another test may have port 8000.
DEV = ("dev", "--port", "0")
UNREACHABLE = "postgresql://me:s3cret@127.0.0.1:1/none"


def pythons() -> list[str]:
    """Return the versions of Python on this machine that a service supports."""
    command = ["uv", "python", "list", "--only-installed", "--output-format", "json"]
    listed = subprocess.run(command, check=True, capture_output=True).stdout
    minors = {
        (version["version_parts"]["major"], version["version_parts"]["minor"])
        for version in json.loads(listed)
        if version["implementation"] == "cpython"
    }
    return [f"{major}.{minor}" for major, minor in sorted(minors) if minor >= 11]


# Each answer that renders tests or leaves them out. The default answers are tested with the
# oldest dependencies, below.
ANSWERS = {
    "everything": {
        "example": True,
        "ci": "github",
        "kubernetes": True,
        "auth": "oidc",
        "jobs": True,
        "telemetry": True,
    },
    "nothing": {
        "example": False,
        "ci": "none",
        "kubernetes": False,
        "auth": "none",
        "jobs": False,
        "telemetry": False,
    },
    "only auth and jobs": {
        "example": False,
        "ci": "none",
        "kubernetes": False,
        "auth": "oidc",
        "jobs": True,
        "telemetry": False,
    },
}


@pytest.mark.promise(22)
@pytest.mark.promise(24)
@pytest.mark.parametrize("python", pythons())
@pytest.mark.parametrize("answers", ANSWERS.values(), ids=ANSWERS)
def test_a_rendered_service_passes_its_own_checks_and_serves(
    render: Render,
    tmp_path: Path,
    answers: dict[str, object],
    python: str,
    record_property: Callable[[str, object], None],
) -> None:
    project = render(**answers).copy(tmp_path / "project")
    project.git("init", "--quiet")
    project.run("uv", "sync", "--quiet", "--python", python)

    for command in ("ruff check", "ruff format --check", "ty check"):
        project.run(*command.split())
    port = free_port()
    spans = ("--spans",) if answers["telemetry"] else ()
    with project.serve("dev", "--port", str(port), *spans, port=port) as client:
        if answers["auth"] == "oidc":
            printed = project.run("token", "items:read", "items:write").stdout
            assert client.get("/items").status_code == (
                401 if answers["example"] else 404
            )
            client.headers["Authorization"] = f"Bearer {printed.strip()}"
        if answers["example"]:
            client.post("/items", json={"name": "Kept"})
        # Beside the running service, whose rows they must not touch.
        project.run("pytest", "-W", "error", "-n", "2")
        if answers["example"]:
            (kept,) = client.get("/items").json()["items"]
            record_property("measure", f"Of 1 row, its tests left “{kept['name']}”.")
            assert kept["name"] == "Kept"
        assert client.get("/").json() == {"service": "My Service", "version": "0.1.0"}
        assert client.get("/readyz").json() == {"status": "ok"}
        assert client.get("/docs").status_code == 200
        paths = client.get("/openapi.json").json()["paths"]
        assert ("/items" in paths) == answers["example"]
    output = (project.path / "output.txt").read_text()
    assert ("\nGET / 200  " in output) == answers["telemetry"]


def test_a_request_runs_through_few_files_of_the_service(
    installed: Render,
) -> None:
    project = installed()

    assert project.test(IN_SERVICE / "files_of_a_request.py") == 1


def test_pages_by_random_columns_hold_every_row_once(installed: Render) -> None:
    project = installed()

    assert project.test(IN_SERVICE / "pages.py", "hypothesis") == 1


def test_the_oldest_dependencies_that_are_allowed_suffice(
    render: Render, tmp_path: Path
) -> None:
    answers = {"kubernetes": True, "auth": "oidc", "jobs": True, "telemetry": True}
    project = render(**answers).copy(tmp_path / "project")

    project.run("uv", "sync", "--quiet", "--resolution", "lowest-direct")

    project.run("pytest", "-W", "error", "-n", "2")


def test_stored_rows_survive_a_restart(installed: Render) -> None:
    project = installed()

    with project.serve() as client:
        created = client.post("/items", json={"name": "Lamp"})
        assert created.status_code == 201
    with project.serve() as client:
        path = f"/items/{created.json()['id']}"
        assert client.get(path).json() == created.json()
        headers = {"If-Match": created.headers["etag"]}
        assert client.delete(path, headers=headers).status_code == 204


CALLS = {
    ("get", "/"): None,
    ("get", "/livez"): None,
    ("get", "/readyz"): None,
    ("get", "/items"): None,
    ("post", "/items"): {"name": "Chair"},
    ("get", "/items/{item_id}"): None,
    ("patch", "/items/{item_id}"): {"name": "Table"},
    ("post", "/items/{item_id}/notes"): {"text": "Needs a new bulb."},
    ("get", "/items/{item_id}/notes"): None,
    ("delete", "/items/{item_id}"): None,
}


@pytest.mark.promise(23)
def test_every_documented_operation_succeeds(
    installed: Render, record_property: Callable[[str, object], None]
) -> None:
    with installed().serve() as client:
        paths = client.get("/openapi.json").json()["paths"]
        documented = {(method, path) for path in paths for method in paths[path]}
        assert documented == set(CALLS)

        item = client.post("/items", json={"name": "Lamp"}).json()
        for (method, path), body in CALLS.items():
            path = path.format(item_id=item["id"])
            headers = {"If-Match": "*"} if method in {"patch", "delete"} else {}
            response = client.request(method, path, json=body, headers=headers)
            assert response.is_success, (method, path, response.text)
            if "location" in response.headers:
                new = response.headers["location"]
                assert client.delete(new, headers={"If-Match": "*"}).is_success
    record_property("measure", f"{len(documented)} documented operations, all 2xx.")


# Open while the code changes: it must not hold up the reload.
STREAM = """
import asyncio
from fastapi.sse import EventSourceResponse
from app.core.health import draining

@app.get("/ticks", response_class=EventSourceResponse)
async def ticks() -> AsyncGenerator[str]:
    while {condition}:
        yield "tick"
        await asyncio.sleep(0.1)
"""


@pytest.mark.parametrize("condition", ["True", "not draining.is_set()"])
def test_the_service_reloads_when_its_code_changes(
    installed: Render, tmp_path: Path, condition: str
) -> None:
    """Also while a stream is open, which ends without a traceback if it can."""
    project = with_environment_of(installed(), tmp_path)
    main = project.path / "app" / "main.py"
    with main.open("a") as file:
        file.write(STREAM.format(condition=condition))

    with project.serve() as client, client.stream("GET", "/ticks") as stream:
        assert next(stream.iter_lines())
        main.write_text(main.read_text().replace('"/redoc"', '"/other"'))
        wait_for_reload(lambda: client.get("/other").status_code == 200)
        log = (project.path / "output.txt").read_text()

    assert condition == "True" or "Traceback" not in log


def test_development_refuses_to_run_as_production(installed: Render) -> None:
    result = installed().run(
        *DEV, check=False, ENVIRONMENT="production", DATABASE_URL=UNREACHABLE
    )

    assert result.returncode == 2
    assert "ENVIRONMENT is production" in result.stdout


def test_an_unreachable_database_is_named_without_its_password(
    installed: Render,
) -> None:
    result = installed().run(*DEV, check=False, DATABASE_URL=UNREACHABLE)

    assert result.returncode == 1
    assert "me:***@127.0.0.1:1/none cannot be used" in result.stdout
    assert "s3cret" not in result.stdout
    assert "Traceback" not in result.stdout


@pytest.mark.parametrize("command", ["dev", "serve"])
def test_a_port_in_use_is_named_before_anything_starts(
    installed: Render, command: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        result = installed().run(
            *(command, "--port", port), check=False, DATABASE_URL=UNREACHABLE
        )
    invalid = installed().run(
        *(command, "--port", "99999"), check=False, DATABASE_URL=UNREACHABLE
    )

    assert result.returncode == invalid.returncode == 1
    assert result.stdout.startswith(f"Cannot listen on port {port} of 127.0.0.1:")
    assert invalid.stdout.startswith("Cannot listen on port 99999 of 127.0.0.1:")
    assert result.stdout.count("\n") == invalid.stdout.count("\n") == 1


def test_ctrl_c_at_the_start_is_no_traceback(installed: Render, tmp_path: Path) -> None:
    project = with_environment_of(installed(), tmp_path)
    started = project.path / ".local" / "postgres" / "users"

    # Ends with Ctrl-C as soon as it waits for its PostgreSQL.
    with project.start(*DEV) as process:
        wait_until(started.exists)

    assert process.returncode == -signal.SIGINT
    assert (project.path / "output.txt").read_text() == ""


@pytest.mark.parametrize(
    "command",
    [
        DEV,
        ("alembic", "upgrade", "head"),
        ("pytest", "-q"),
        ("python", "scripts/lint_migrations.py", "alembic/versions/none.py"),
    ],
    ids=lambda command: command[0],
)
def test_a_directory_that_the_local_postgres_cannot_use_is_a_sentence(
    installed: Render, tmp_path: Path, command: tuple[str, ...]
) -> None:
    project = installed().copy_with_environment(tmp_path / "project")
    (project.path / ".local").touch()

    result = project.run(*command, check=False, PYTHONPATH=str(project.path))

    assert result.returncode != 0
    assert result.stdout.splitlines()[-1].startswith(
        f"The local PostgreSQL cannot use {project.path / '.local' / 'postgres'}: "
    )
    assert "Traceback" not in result.stdout


def test_a_database_that_is_not_there_is_named_in_a_sentence(
    installed: Render,
) -> None:
    script = """
import os, subprocess, sys
from app.core.db.local_postgres import start

url = start().replace("/postgres?", "/none?")
subprocess.run(sys.argv[1:], env={**os.environ, "DATABASE_URL": url})
"""

    result = installed().run("python", "-c", script, *DEV)

    assert result.stdout.strip().endswith(
        'cannot be used: database "none" does not exist'
    )
    assert "Traceback" not in result.stdout


def test_the_service_starts_without_its_database_and_says_so(
    installed: Render,
) -> None:
    port = free_port()
    command = ("uvicorn", "app.main:app", "--port", str(port))

    with installed().serve(*command, port=port, DATABASE_URL=UNREACHABLE) as client:
        assert client.get("/").status_code == 200
        assert client.get("/livez").status_code == 200
        assert client.get("/readyz").status_code == 503


def test_with_a_database_url_nothing_of_the_local_postgres_is_loaded(
    installed: Render,
) -> None:
    program = "import json, sys, app.main; print(json.dumps(sorted(sys.modules)))"

    result = installed().run("python", "-c", program, DATABASE_URL=UNREACHABLE)

    modules = json.loads(result.stdout.splitlines()[-1])
    assert "app.core.database" in modules
    assert "app.core.db.local_postgres" not in modules
    assert not [module for module in modules if module.startswith("embedded")]


def test_production_needs_none_of_the_development_dependencies(
    installed: Render, tmp_path: Path
) -> None:
    project = installed().copy(tmp_path / "project")
    exported = project.run("uv", "export", "--no-dev", "--no-hashes", "--quiet").stdout
    project.run("uv", "sync", "--no-dev", "--quiet")
    port = free_port()
    command = ("uvicorn", "app.main:app", "--port", str(port))

    without = project.run(*command, check=False)
    production = project.run(*command, check=False, ENVIRONMENT="production")

    assert "embedded" not in exported
    assert without.returncode == 1
    assert without.stdout.count("\n") == 1
    assert "DATABASE_URL is not set" in without.stdout
    assert production.returncode == 1
    assert "DATABASE_URL" in production.stdout
    assert "Traceback" not in production.stdout
    with (
        installed().serve() as development,
        project.serve(
            *command,
            port=port,
            ENVIRONMENT="production",
            DATABASE_URL=database_url(installed()),
        ) as client,
    ):
        created = development.post("/items", json={"name": "Lamp"})
        path = created.headers["location"]
        assert client.get(path).json() == created.json()
        assert client.delete(path, headers={"If-Match": "*"}).status_code == 204


def database_url(project: Project) -> str:
    """Return the URL of the local PostgreSQL of a project that runs."""
    program = (
        "from app.core.config import settings\n"
        "print(settings.DATABASE_URL.render_as_string(hide_password=False))"
    )
    return project.run("python", "-c", program).stdout.splitlines()[-1]


def with_environment_of(project: Project, path: Path) -> Project:
    """Return a copy to change, with dependencies of its own."""
    copy = project.copy(path / "project")
    copy.run("uv", "sync", "--quiet")
    return copy
