"""Images built from a Dockerfile and run with no Docker and no registry: buildah, podman.

The images that a Dockerfile starts from are stand-ins made on this machine: Debian with
its own Python, and the uv of these tests. They trust the authorities that the machine
trusts, so that a build finds the package index behind a proxy too.
"""

import json
import os
import re
import shutil
import ssl
import subprocess
import tarfile
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

from tests.harness.project import ROOT

DEBIAN = "trixie"
PROGRAMS = ("buildah", "podman", "mmdebstrap", "crun", "catatonit")
# What a program mounts is gone with it, and nobody else sees it.
PRIVATELY = ("unshare", "--mount")
# Where cgroups are of the first version podman starts nothing: it looks here only.
ON_CGROUPS_2 = (
    'umount --recursive /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup; exec "$@"'
)
# As strict as a cluster can be. The limits are those that every machine can give.
HARDENED = [
    *("--network=host", "--cgroups=disabled", "--no-healthcheck", "--rm"),
    *("--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"),
    *("--cap-drop=all", "--security-opt=no-new-privileges"),
]
READ_ONLY = ["--read-only", "--read-only-tmpfs=false", "--tmpfs=/tmp"]
AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"


class Images:
    """The images of this checkout, which are kept in a directory of it."""

    def __init__(self, path: Path = ROOT / ".tools" / "containers") -> None:
        missing = [name for name in PROGRAMS if shutil.which(name) is None]
        assert not missing, (
            f"{', '.join(missing)} is not there: run make test-delivery."
        )
        assert os.geteuid() == 0, "Images are built and run as root: run it with sudo."
        self.path = path
        # Where podman listens, a path has to be short.
        self.storage = [f"--root={path / 'storage'}", f"--runroot={path / 'run'}"]
        (path / "tmp").mkdir(parents=True, exist_ok=True)

    def run(self, *command: str | Path, check: bool = True) -> str:
        """Run a command to its end and return what it printed."""
        environment = {**os.environ, "TMPDIR": str(self.path / "tmp")}
        result = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=600,
        )
        assert (result.returncode == 0) == check, result.stdout
        return result.stdout

    def podman(self, *arguments: str | Path) -> str:
        return self.run(*PRIVATELY, "podman", *self.storage, *arguments)

    def build(self, directory: Path, name: str, *, check: bool = True) -> str:
        """Build the Dockerfile of a directory; nothing is taken from another build."""
        return self.run(
            *(*PRIVATELY, "buildah", *self.storage, "bud", "--isolation=chroot"),
            *("--network=host", "--pull-never", "--format=docker", f"--tag={name}"),
            directory,
            check=check,
        )

    def clean(self) -> None:
        """Remove what builds left behind, but not the images."""
        self.run(*PRIVATELY, "buildah", *self.storage, "rm", "--all")
        self.podman("image", "prune", "--force")

    def stand_in(self, dockerfile: Path) -> None:
        """Make what a Dockerfile starts from, unless that was done before."""
        here = self.podman("images", "--format={{.Repository}}:{{.Tag}}").split()
        for name in re.findall(
            r"^FROM (\S+:\S+)", dockerfile.read_text(), re.MULTILINE
        ):
            full_name = name if "/" in name else f"docker.io/library/{name}"
            if full_name in here:
                continue
            makers = {"python": self._python, "uv": self._uv}
            with tempfile.TemporaryDirectory(dir=self.path / "tmp") as context:
                makers[full_name.split(":")[0].split("/")[-1]](Path(context))
                self.build(Path(context), full_name)
            here.append(full_name)

    def _uv(self, context: Path) -> None:
        shutil.copy(str(shutil.which("uv")), context / "uv")
        (context / "Dockerfile").write_text("FROM scratch\nCOPY uv /uv\n")

    def _python(self, context: Path) -> None:
        packages = "--include=ca-certificates,python3,python3-venv"
        base = context / "base.tar"
        self.run("mmdebstrap", "--variant=minbase", packages, DEBIAN, base)
        bundle = (
            os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
        )
        shutil.copy(bundle or AUTHORITIES, context / "authorities")
        (context / "Dockerfile").write_text(
            "FROM scratch\n"
            "ADD base.tar /\n"
            f"COPY authorities {AUTHORITIES}\n"
            'RUN ["ln", "-s", "/usr/bin/python3", "/usr/local/bin/python"]\n'
            f"ENV SSL_CERT_FILE={AUTHORITIES}\n"
        )

    def inspect(self, name: str) -> dict[str, Any]:
        (image,) = json.loads(self.podman("image", "inspect", name))
        return image

    def layers(self, name: str, path: Path) -> Generator[tuple[str, bytes]]:
        """Yield the path and the content of every file of every layer."""
        self.podman("save", "--quiet", "--format=docker-dir", f"--output={path}", name)
        for layer in json.loads((path / "manifest.json").read_text())["layers"]:
            with tarfile.open(path / layer["digest"].removeprefix("sha256:")) as files:
                for file in files:
                    content = files.extractfile(file) if file.isfile() else None
                    yield file.name, content.read() if content else b""

    def command(
        self, name: str, *arguments: str, read_only: bool = True, **environment: str
    ) -> list[str]:
        """Return the command that runs an image with all that can be taken away."""
        return [
            *(*PRIVATELY, "bash", "-c", ON_CGROUPS_2, "run"),
            *("podman", "--cgroup-manager=cgroupfs", *self.storage, "run", *HARDENED),
            *(READ_ONLY if read_only else []),
            *(f"--env={key}={value}" for key, value in environment.items()),
            *(name, *arguments),
        ]
