"""What a service with 1, 50 and 200 features costs: make benchmark-growth.

Each feature is a copy of the example, with tables, routes, tests and a revision of its own.
"""

import json
import tempfile
import time
from itertools import islice, product
from pathlib import Path
from string import ascii_lowercase

from benchmarks.service import render
from tests.harness.postgres import Postgres
from tests.harness.project import Project

NUMBERS_OF_FEATURES = (1, 50, 200)
ROUNDS = 5
HERE = Path(__file__).parent
EMPTY_REVISION = '''"""Change nothing."""

revision = "{revision}"
down_revision = "{before}"


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
'''
COPY = """
import sys
sys.path.insert(0, "scripts")
import new_feature
for name in sys.argv[1:]:
    sys.argv = ["", f"lamp_{name}", "--plural", f"lamp_{name}_list", "--like", "item"]
    new_feature.main()
"""
START = """
import gc, json, os, time
gc.disable()  # As `serve` does.
import app.main
pages = int(open("/proc/self/statm").read().split()[1])
mib = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
print(json.dumps({"start-up, s CPU": time.process_time(), "memory, MiB": mib}))
"""
# FastAPI and SQLAlchemy with the same routes and models; it makes at its first request what
# the service makes when it starts.
ALONE = """
import gc, json, time
gc.disable()
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from sqlalchemy.orm import configure_mappers
from app import api, models
app = FastAPI()
app.include_router(api.router)
list(iter_route_contexts(app.routes))
configure_mappers()
print(json.dumps({"FastAPI alone, s CPU": time.process_time()}))
"""
CHECK = """
import json, time
from alembic.config import main
start = time.process_time()
main(["check"])
print(json.dumps({"alembic check, s CPU": time.process_time() - start}))
"""


def grow(project: Project, features: int) -> None:
    """Give a service so many features."""
    names = map("".join, product(ascii_lowercase, repeat=3))
    project.run("python", "-c", COPY, *islice(names, features - 1))


def migrate(project: Project, postgres: Postgres, features: int) -> None:
    """Create the tables, with as many revisions as there are features."""
    url = postgres.url
    project.run("alembic", "upgrade", "head", DATABASE_URL=url)
    if features > 1:
        command = ("alembic", "revision", "--autogenerate", "-m", "Grow")
        project.run(*command, DATABASE_URL=url)
    head = project.run("alembic", "heads", DATABASE_URL=url).stdout.split()[0]
    for number in range(features - 2):
        revision = f"{number:012}"
        text = EMPTY_REVISION.format(revision=revision, before=head)
        path = project.path / f"alembic/versions/2030_01_01_{number:04}-nothing.py"
        path.write_text(text)
        head = revision
    project.run("alembic", "upgrade", "head", DATABASE_URL=url)


def run(project: Project, url: str, program: str, *arguments: str) -> dict[str, float]:
    """Return what a program prints last."""
    output = project.run(
        *("python", "-c", program, *arguments),
        DATABASE_URL=url,
        ENVIRONMENT="production",
        LOG_LEVEL="WARNING",
        DOCS="true",
    ).stdout
    return json.loads(output.splitlines()[-1])


def time_tests(project: Project, url: str) -> dict[str, float]:
    """Return the time of the tests of one feature, with that of making their tables."""
    start = time.perf_counter()
    project.run("pytest", "-q", "tests/items", DATABASE_URL=url)
    return {"tests of one feature, s": time.perf_counter() - start}


def measure(directory: Path, features: int) -> dict[str, float]:
    """Return the costs of a service with so many features."""
    directory.mkdir(mode=0o755)
    project = render(directory)
    grow(project, features)
    postgres = Postgres(project, directory / "postgres")
    postgres.start(max_locks_per_transaction=1000)
    try:
        migrate(project, postgres, features)
        last = "/items" if features == 1 else f"/lamp-{_name(features - 2)}-list"
        start = [run(project, postgres.url, START) for _ in range(ROUNDS)]
        alone = [run(project, postgres.url, ALONE) for _ in range(ROUNDS)]
        # The least of some rounds: whatever else the machine does only adds to it.
        costs = {name: min(each[name] for each in start) for name in start[0]}
        costs |= {name: min(each[name] for each in alone) for name in alone[0]}
        requests = (HERE / "requests_in_process.py").read_text()
        costs |= run(project, postgres.url, requests, last)
        costs |= run(project, postgres.url, CHECK)
        costs |= time_tests(project, postgres.url)
    finally:
        postgres.close()
    return costs


def _name(number: int) -> str:
    return "".join(next(islice(product(ascii_lowercase, repeat=3), number, None)))


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="growth-") as name:
        Path(name).chmod(0o755)
        results = [
            measure(Path(name) / str(features), features)
            for features in NUMBERS_OF_FEATURES
        ]
    print("| features |", " | ".join(map(str, NUMBERS_OF_FEATURES)), "|")
    print("|---|" + "--:|" * len(results))
    for cost in results[0]:
        values = " | ".join(f"{result[cost]:.4g}" for result in results)
        print(f"| {cost} | {values} |")


if __name__ == "__main__":
    main()
