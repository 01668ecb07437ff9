"""Several machines on one: services behind HAProxy, PgBouncer, a primary and a replica."""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

import httpx2
import pytest

from tests.harness.postgres import Postgres, Replica, local_postgres
from tests.harness.project import Project, free_port, wait_until

SERVICES = 3
SERVER_CONNECTIONS = 5  # What PgBouncer may open for each login.
POOL_SIZE = 10
HAPROXY = """
defaults
    mode http
    timeout connect 5s
    timeout check 2s
    timeout client 30s
    timeout server 30s
    # As in Kubernetes, nobody tries again.
    retries 0
listen service
    bind 127.0.0.1:{port}
    option httpchk GET /readyz
    default-server check inter 200ms fall 2 rise 1
    {servers}
"""
PGBOUNCER = """
[databases]
app = host=127.0.0.1 port={server} dbname=app
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {users}
admin_users = app
pool_mode = transaction
default_pool_size = {size}
max_client_conn = 500
query_wait_timeout = 5
server_login_retry = 1
"""


class Fleet:
    """Starts all of it, and rolls the services to another release."""

    def __init__(self, project: Project, path: Path) -> None:
        for program in ("haproxy", "pgbouncer"):
            if shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin") is None:
                pytest.fail(
                    f"{program} is not on this machine: run make test-delivery."
                )
        self.path = path
        self.primary = Postgres(project, path / "primary")
        self.primary.start()
        self.primary.query("CREATE ROLE app LOGIN")
        self.primary.query("CREATE ROLE rotated LOGIN IN ROLE app")
        self.primary.query("CREATE DATABASE app OWNER app")
        self.replica = Replica(project, path / "replica", self.primary)
        self.replica.start()
        self.processes: list[subprocess.Popen[bytes]] = []
        self.pgbouncer, self.balancer = free_port(), free_port()
        # One more than there are services, so that a new one is there before an old one
        # goes.
        self.ports = [free_port() for _ in range(SERVICES + 1)]
        self.services: dict[int, subprocess.Popen[bytes]] = {}
        self._start_pgbouncer()
        self._start_haproxy()
        self.migrate(project)
        for port in self.ports[:SERVICES]:
            self.start_service(project, port)
        self.url = f"http://127.0.0.1:{self.balancer}"
        wait_until(lambda: httpx2.get(f"{self.url}/readyz").status_code == 200)

    def database(self, port: int, login: str = "app") -> str:
        return f"postgresql://{login}@127.0.0.1:{port}/app"

    def migrate(self, project: Project) -> None:
        """Migrate as the Job of the manifests does: not through PgBouncer."""
        url = self.database(self.primary.port)
        project.run("python", "-m", "alembic", "upgrade", "head", DATABASE_URL=url)

    def start_service(self, project: Project, port: int, login: str = "app") -> None:
        """Start a process of a release, and wait until it is ready."""
        settings = {
            "ENVIRONMENT": "production",
            "DATABASE_URL": self.database(self.pgbouncer, login),
            "DATABASE_READ_URL": self.database(self.replica.port, login),
            "DB_PGBOUNCER": "true",
            "DB_POOL_SIZE": str(POOL_SIZE),
            "DRAIN_SECONDS": "2",
        }
        command = ["python", "-m", "app.core.serve", "--port", str(port)]
        environment = project.environment(settings)
        self.services[port] = self._start(command, project.path, environment)

        def is_ready() -> bool:
            assert self.services[port].poll() is None
            with contextlib.suppress(httpx2.TransportError):
                return httpx2.get(f"http://127.0.0.1:{port}/readyz").is_success
            return False

        wait_until(is_ready)

    def roll(self, project: Project, login: str = "app") -> list[int]:
        """Replace the services one by one, as a Deployment does; return how they ended."""
        (free,) = set(self.ports) - set(self.services)
        codes = []
        for port in list(self.services):
            self.start_service(project, free, login)
            old = self.services.pop(port)
            old.send_signal(signal.SIGTERM)
            codes.append(old.wait(timeout=60))
            free = port
        return codes

    def ask_pgbouncer(self, command: str) -> list[dict[str, str]]:
        """Return what PgBouncer's own console answers."""
        url = f"postgresql://app@127.0.0.1:{self.pgbouncer}/pgbouncer"
        psql = self.primary.programs / "psql"
        output = subprocess.run(
            [psql, "--no-psqlrc", "-A", "--pset=footer=off", "-c", command, url],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        names, *rows = [line.split("|") for line in output.splitlines()]
        return [dict(zip(names, row, strict=True)) for row in rows]

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()
        self.replica.close()
        self.primary.close()

    def _start_pgbouncer(self) -> None:
        users = self.path / "users.txt"
        users.write_text('"app" ""\n"rotated" ""\n')
        settings = self.path / "pgbouncer.ini"
        text = PGBOUNCER.format(
            server=self.primary.port,
            port=self.pgbouncer,
            users=users,
            size=SERVER_CONNECTIONS,
        )
        settings.write_text(text)
        prefix = local_postgres.AS_NOBODY if local_postgres.IS_ROOT else []
        self._start([*prefix, "pgbouncer", str(settings)], self.path)

    def _start_haproxy(self) -> None:
        settings = self.path / "haproxy.cfg"
        servers = [f"server s{port} 127.0.0.1:{port}" for port in self.ports]
        lines = "\n    ".join(servers)
        settings.write_text(HAPROXY.format(port=self.balancer, servers=lines))
        self._start(["haproxy", "-db", "-f", str(settings)], self.path)

    def _start(
        self, command: list[str], directory: Path, environment: Mapping[str, str] = {}
    ) -> subprocess.Popen[bytes]:
        environment = {**os.environ, **environment}
        environment["PATH"] += ":/usr/sbin"
        with (self.path / f"{len(self.processes)}.log").open("w") as log:
            process = subprocess.Popen(
                command, cwd=directory, env=environment, stdout=log, stderr=log
            )
        self.processes.append(process)
        return process
