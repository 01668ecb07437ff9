"""The CPU time of `copier copy`, against that of `copier --version`: make benchmark-generation."""

import resource
import statistics
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROUNDS = 7


def cpu_seconds(*command: str | Path) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


with tempfile.TemporaryDirectory() as directory:
    template, commands = Path(directory) / "template", {}
    subprocess.run(["git", "clone", "--quiet", ROOT, template], check=True)
    copy = ["copier", "copy", "--defaults", "--quiet", "--overwrite", "--vcs-ref=HEAD"]
    commands["copier --version"] = ["copier", "--version"]
    commands["copier copy"] = [*copy, template, Path(directory) / "project"]
    # Interleaved, so that what else the machine does meets all of them alike.
    rounds = [
        {name: cpu_seconds(*command) for name, command in commands.items()}
        for _ in range(ROUNDS)
    ]

floor = statistics.median(times["copier --version"] for times in rounds)
for name in commands:
    median = statistics.median(times[name] for times in rounds)
    print(f"{name:20} {median:6.2f} s CPU {median / floor:6.2f} ×")
