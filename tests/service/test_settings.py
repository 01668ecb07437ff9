"""The settings of a rendered service, and who gets which."""

import json
import re
import socket
from pathlib import Path

from tests.harness.owners import ANCHOR
from tests.harness.project import Project, free_port, wait_until
from tests.harness.types import Render

# No default among them, and nothing that the tests could run on.
CHANGED = {
    "ENVIRONMENT": "production",
    "DEBUG": "true",
    "LOG_LEVEL": "ERROR",
    "HOST": "127.0.0.2",
    "PORT": "1",
    "FORWARDED_ALLOW_IPS": "10.0.0.0/8",
    "DOCS": "false",
    "ALLOWED_HOSTS": "localhost",
    "CORS_ORIGINS": "https://example.com",
    "MAX_BODY_BYTES": "100",
    "KEEP_ALIVE_SECONDS": "1",
    "REQUEST_TIMEOUT": "0.2",
    "DRAIN_SECONDS": "3",
    "SHUTDOWN_SECONDS": "1",
    "APP_TITLE": "Ours",
    "APP_LICENSE": "Ours too",
    "APP_DESCRIPTION": "Our own.",
    "APP_VERSION": "9.9.9",
    "DATABASE_READ_URL": "postgresql://nobody@127.0.0.1:1/none",
    "DB_POOL_SIZE": "1",
    "DB_MAX_OVERFLOW": "1",
    "DB_PGBOUNCER": "true",
    "DB_POOL_TIMEOUT": "0.2",
    "DB_CONNECT_TIMEOUT": "0.5",
    "DB_STATEMENT_TIMEOUT": "0.3",
    "DB_LOCK_TIMEOUT": "0.1",
    "DB_SLOW_STATEMENT": "0.001",
}
GROUP = """class Mail(BaseModel):
    HOST: str
    PASSWORD: SecretStr


class Settings(BaseSettings):"""
OURS = """    PAYMENT_URL: str
    PAYMENT_KEY: SecretStr
    MAIL: Mail
    SENTRY_DSN: SecretStr | None = None
"""
OUR_EXAMPLE = """PAYMENT_URL=https://sandbox.example.com
PAYMENT_KEY=
MAIL__HOST=mail.example.com
MAIL__PASSWORD=
SENTRY_DSN=
"""
OUR_VALUES = {
    "PAYMENT_URL": "https://example.com",
    "PAYMENT_KEY": "key",
    "MAIL__HOST": "localhost",
    "MAIL__PASSWORD": "pass-w0rd",
    "SENTRY_DSN": "https://sentry.example.com",
}


def write_env(project: Project, values: dict[str, str]) -> None:
    lines = [f"{name}={value}\n" for name, value in values.items()]
    (project.path / ".env").write_text("".join(lines))


def copy_of(service: Project, path: Path) -> Project:
    """Return a project to change, with what is installed and the local PostgreSQL."""
    project = service.copy(path)
    project.run("uv", "sync", "--quiet", "--offline")
    return project


def add_settings(project: Project) -> None:
    """Add a required setting, a secret, a group and an optional secret."""
    config = project.path / "app/core/config.py"
    text = config.read_text()
    text = text.replace("pydantic import ", "pydantic import BaseModel, SecretStr, ")
    text = text.replace("class Settings(BaseSettings):", GROUP)
    config.write_text(text.replace(f"{ANCHOR}\n", f"{ANCHOR}\n{OURS}"))
    with (project.path / ".env.example").open("a") as example:
        example.write(OUR_EXAMPLE)
    project.run("ruff", "check", "--quiet", "--fix")
    project.run("ruff", "format", "--quiet")


def test_the_generated_tests_run_on_the_defaults(
    installed: Render, tmp_path: Path
) -> None:
    project = copy_of(installed(), tmp_path / "project")
    example = (project.path / ".env.example").read_text().splitlines()
    documented = {line.split("=")[0] for line in example if "=" in line}
    assert documented - {"DATABASE_URL"} == CHANGED.keys()
    add_settings(project)
    write_env(project, CHANGED | OUR_VALUES)

    project.run("ty", "check")
    output = project.run("pytest", "-q", "-p", "no:cacheprovider").stdout

    assert "failed" not in output


def test_the_generated_tests_send_no_telemetry(installed: Render) -> None:
    project = installed(kubernetes=True, auth="oidc", jobs=True, telemetry=True)
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}

    output = project.run("pytest", "-q", "tests/items", **endpoint).stdout

    assert "opentelemetry" not in output


def test_a_pipeline_has_the_settings_of_the_example_file(
    installed: Render, tmp_path: Path
) -> None:
    everything = installed(kubernetes=True, auth="oidc", jobs=True, telemetry=True)
    project = copy_of(everything, tmp_path / "project")
    add_settings(project)
    tests = ("pytest", "-q", "tests/core/test_config.py", "tests/test_main.py")
    tests += ("tests/core/oidc/test_oidc_settings.py",)

    missing = project.run(*tests, check=False)
    passing = project.run(*tests, PAYMENT_KEY="key", MAIL__PASSWORD="pass-w0rd")

    assert "PAYMENT_KEY: Field required" in missing.stdout
    assert "PAYMENT_URL" not in missing.stdout
    assert "Traceback" not in missing.stdout
    assert "passed" in passing.stdout


def test_env_is_read_wherever_the_service_is_started(
    installed: Render, tmp_path: Path
) -> None:
    project = copy_of(installed(), tmp_path / "project")
    url = "postgresql://me@elsewhere/db"
    write_env(project, {"DATABASE_URL": url, "APP_TITLE": "Ours"})
    shown = "from app.core.config import settings; print(settings)"

    for directory in (".", "alembic", "/"):
        command = f"cd {directory} && python -c '{shown}'"
        output = project.run("sh", "-c", command).stdout

        assert "elsewhere" in output, directory
        assert "APP_TITLE='Ours'" in output


def test_serve_listens_where_the_environment_says(installed: Render) -> None:
    port = free_port()
    environment = {"HOST": "127.0.0.2", "PORT": str(port)}

    with installed().start("serve", **environment) as process:
        wait_until(lambda: process.poll() is not None or listens("127.0.0.2", port))

        assert listens("127.0.0.2", port)
        assert not listens("127.0.0.1", port)


def listens(host: str, port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex((host, port)) == 0


def test_the_health_check_of_the_image_asks_at_the_port_that_is_set(
    installed: Render,
) -> None:
    project = installed()
    dockerfile = (project.path / "Dockerfile").read_text()
    (check,) = re.findall(r"^HEALTHCHECK .* CMD (\[.*\])$", dockerfile, re.MULTILINE)
    port = free_port()

    with project.serve("serve", port=port, PORT=str(port)):
        project.run(*json.loads(check), PORT=str(port))

    assert project.run(*json.loads(check), check=False, PORT=str(port)).returncode == 1
