"""Cuts the release that pyproject.toml and CHANGELOG.md announce: make release.

Runs every test, records the commit where the tests of updates find it, and tags it.
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
RELEASES = ROOT / "tests" / "update" / "releases.toml"


def git(*arguments: str) -> str:
    return subprocess.check_output(["git", *arguments], cwd=ROOT, text=True).strip()


def main() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    changelog = (ROOT / "CHANGELOG.md").read_text()
    headings = re.findall(r"^## (.+)$", changelog, re.MULTILINE)
    if git("status", "--porcelain"):
        sys.exit("There are changes that are not committed: commit them first.")
    if version in tomllib.loads(RELEASES.read_text()):
        sys.exit(f"{version} is released already: raise the version in pyproject.toml.")
    if headings[0] != version:
        sys.exit(
            f"CHANGELOG.md begins with {headings[0]}, pyproject.toml says {version}."
        )
    subprocess.run(["make", "test", "test-faults"], cwd=ROOT, check=True)

    commit = git("rev-parse", "HEAD")
    with RELEASES.open("a") as file:
        file.write(f'"{version}" = "{commit}"\n')
    git("commit", "--quiet", "--all", "--message", f"Record the release of {version}")
    git("tag", "--annotate", f"v{version}", commit, "--message", f"Version {version}")
    print(f"{version} is {commit}. Publish it: git push --follow-tags")


if __name__ == "__main__":
    main()
