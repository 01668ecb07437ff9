"""The CPU time of Copier's commands, against `copier --version`: make benchmark-generation."""

import resource
import statistics
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROUNDS = 7
QUIET = ["--defaults", "--quiet", "--vcs-ref=HEAD"]


def cpu_seconds(*command: str | Path, cwd: Path = ROOT) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True, cwd=cwd)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def git(directory: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=Benchmark", "-c", "user.email=b@example.com"]
    cpu_seconds("git", *identity, *arguments, cwd=directory)


def measure(directory: Path) -> list[dict[str, float]]:
    """Return the times of each command, round by round."""
    template, old = directory / "template", directory / "old"
    cpu_seconds("git", "clone", ROOT, template)
    cpu_seconds("copier", "copy", *QUIET, template, old)
    git(old, "init")
    git(old, "add", "--all")
    git(old, "commit", "--message=Start")
    (template / "template" / ".editorconfig").write_text("# The next version.\n")
    git(template, "commit", "--all", "--message=Next")
    rounds = []
    for number in range(ROUNDS):
        copy, update = directory / f"copy-{number}", directory / f"update-{number}"
        cpu_seconds("git", "clone", old, update)
        # Interleaved, so that what else the machine does meets all of them alike.
        rounds.append(
            {
                "copier --version": cpu_seconds("copier", "--version"),
                "copier copy": cpu_seconds("copier", "copy", *QUIET, template, copy),
                "copier update": cpu_seconds("copier", "update", *QUIET, cwd=update),
            }
        )
        assert "next version" in (update / ".editorconfig").read_text()
    return rounds


with tempfile.TemporaryDirectory() as name:
    rounds = measure(Path(name))
floor = statistics.median(times["copier --version"] for times in rounds)
for command in rounds[0]:
    median = statistics.median(times[command] for times in rounds)
    print(f"{command:20} {median:6.2f} s CPU {median / floor:6.2f} ×")
