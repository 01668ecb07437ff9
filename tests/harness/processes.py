"""What the processes of pytest-xdist make once and share."""

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest


def shared_directory(factory: pytest.TempPathFactory, name: str) -> Path:
    """Return a directory of this run of the tests, the same in each of its processes."""
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    directory = base / name
    directory.mkdir(exist_ok=True)
    return directory


@contextmanager
def once(path: Path) -> Generator[bool]:
    """Give whether `path` is still to be made, while the other processes wait for it."""
    with path.with_name(f"{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield not path.exists()
