"""A rendered project, used through its own commands."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Generator, Mapping
from pathlib import Path

import httpx2

ROOT = Path(__file__).parents[2]
TIMEOUT_SECONDS = 60


class Project:
    """A rendered project in `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def copy(self, path: Path) -> "Project":
        """Return a copy of what was rendered, without what was installed or run."""
        ignore = shutil.ignore_patterns(".venv", ".local", "__pycache__", ".git")
        shutil.copytree(self.path, path, ignore=ignore)
        return Project(path)

    def copy_with_environment(
        self, path: Path, environment: "Project | None" = None
    ) -> "Project":
        """Return a copy that has the installed packages of this project, or of another."""
        copy = self.copy(path)
        (copy.path / ".venv").symlink_to((environment or self).path / ".venv")
        return copy

    def environment(self, extra: Mapping[str, str | None]) -> dict[str, str]:
        """The environment of the machine with the project's programs first on the PATH."""
        path = f"{self.path / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
        merged = {**os.environ, "PATH": path, **extra}
        for name in list(merged):
            # pytest and xdist speak to their children through these.
            if merged[name] is None or name.startswith("PYTEST_"):
                del merged[name]
        return {name: value for name, value in merged.items() if value is not None}

    def run(
        self, *command: str | Path, check: bool = True, **environment: str | None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the project; fail with all that it printed if it fails."""
        result = subprocess.run(
            command,
            cwd=self.path,
            env=self.environment(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=600,
        )
        if check and result.returncode != 0:
            raise AssertionError(
                f"{' '.join(map(str, command))} ended with {result.returncode}:\n"
                f"{result.stdout}"
            )
        return result

    def test(self, file: Path, *packages: str) -> int:
        """Run a file of tests among those of the project; return how many passed.

        The packages are installed beside those of the project, for this run.
        """
        test = self.path / "tests" / "core" / f"test_{file.name}"
        extra = [f"--with={package}" for package in packages]
        shutil.copy(file, test)
        try:
            output = self.run(
                *("uv", "run", "--quiet", "--no-sync", *extra),
                *("pytest", "--override-ini=addopts=", "-q", str(test)),
            ).stdout
        finally:
            test.unlink()
        passed = re.search(r"(\d+) passed", output)
        assert passed is not None, output
        return int(passed[1])

    def git(self, *arguments: str) -> str:
        """Run git and return what it printed."""
        name = ["-c", "user.name=Team", "-c", "user.email=team@example.com"]
        return self.run("git", *name, *arguments).stdout

    def spawn(
        self, *command: str, log: str, **environment: str | None
    ) -> subprocess.Popen[bytes]:
        """Start a command that outlives this call, and append what it prints to a file."""
        with (self.path / log).open("a") as output:
            return subprocess.Popen(
                command,
                cwd=self.path,
                env=self.environment(environment),
                stdout=output,
                stderr=output,
            )

    @contextlib.contextmanager
    def start(
        self, *command: str | Path, **environment: str | None
    ) -> Generator[subprocess.Popen[str]]:
        """Run a command while the context lasts, then end it as Ctrl-C does."""
        with (self.path / "output.txt").open("w+") as output:
            process = subprocess.Popen(
                command,
                cwd=self.path,
                env=self.environment(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
            try:
                yield process
            finally:
                # A terminal sends it to all that the command has started.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGINT)
                process.wait(timeout=60)

    @contextlib.contextmanager
    def serve(
        self, *command: str, port: int | None = None, **environment: str | None
    ) -> Generator[httpx2.Client]:
        """Run a command that serves on `port`, and give a client once it answers."""
        port = port or free_port()
        wait_until(lambda: not is_used(port))
        command = command or ("dev", "--port", str(port))
        with (
            self.start(*command, **environment) as process,
            httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client,
        ):

            def answers() -> bool:
                output = (self.path / "output.txt").read_text()
                assert process.poll() is None, f"It ended:\n{output}"
                with contextlib.suppress(httpx2.TransportError):
                    client.get("/livez")
                    return True
                return False

            wait_until(answers)
            yield client
        wait_until(lambda: not is_used(port))

    def files(self, suffix: str = "") -> list[Path]:
        """Every file that was rendered, relative to the project."""
        hidden = {".venv", ".local", ".git", "__pycache__", ".ruff_cache"}
        return sorted(
            path.relative_to(self.path)
            for path in self.path.rglob(f"*{suffix}")
            if path.is_file() and not hidden & set(path.relative_to(self.path).parts)
        )


def free_port() -> int:
    """Return a port of this machine that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def is_used(port: int) -> bool:
    """Return whether something listens on a port of this machine."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def wait_until(happened: Callable[[], bool]) -> None:
    """Return once it has happened, and fail if it does not within a minute."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not happened():
        assert time.monotonic() < deadline, "It did not happen within a minute."
        time.sleep(0.05)


def wait_for_reload(happened: Callable[[], bool]) -> None:
    """Wait as `wait_until` does, past the requests that the ending process drops."""

    def happened_meanwhile() -> bool:
        with contextlib.suppress(httpx2.TransportError):
            return happened()
        return False

    wait_until(happened_meanwhile)
