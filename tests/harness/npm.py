"""Packages that are on npm only."""

import subprocess
from pathlib import Path


def install(directory: Path, *packages: str) -> Path:
    """Install packages below a directory, and return the directory that contains them."""
    (directory / "package.json").write_text('{"private": true}')
    command = ("npm", "install", "--silent", "--ignore-scripts", "--no-audit")
    subprocess.run([*command, *packages], cwd=directory, check=True)
    return directory / "node_modules"
