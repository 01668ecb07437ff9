"""The generated service against its limit and the plain design: make benchmark.

Five servers with one worker each stand side by side on one PostgreSQL and one table, and
take turns in a new order each round, so that what else the machine does meets all alike.
Read the ratios and the CPU time; the rates are those of one machine.
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import httpx2

from benchmarks.wire import count_round_trips
from tests.harness.postgres import Postgres
from tests.harness.project import ROOT, Project, free_port, wait_until

HERE = Path(__file__).parent
ROWS = 10_000
CONNECTIONS = 64
Numbers = dict[str, dict[str, float]]
Results = dict[tuple[str, str], dict[str, float]]
LIMIT, PLAIN, GENERATED = "limit", "plain", "generated"
UVICORN = ["-m", "uvicorn", "--no-access-log", "--loop=uvloop", "--http=httptools"]
# As `uv run serve`, but silent about requests that end well, as the others are.
QUIET = (
    "import logging; logging.getLogger('app.access').setLevel('WARNING'); "
    "from app.core.serve import main; main()"
)
# Name, directory that it runs in (None: the generated project), command, what it is.
SERVERS = {
    LIMIT: (HERE / "servers", [*UVICORN, "limit:app"], "ASGI by hand, asyncpg"),
    "framework": (
        HERE / "servers",
        [*UVICORN, "framework:app"],
        "FastAPI, asyncpg, no ORM",
    ),
    PLAIN: (HERE / "servers" / "plain", [*UVICORN, "app.main:app"], "plain design"),
    GENERATED: (None, ["-c", QUIET], "generated service"),
    "logging": (None, ["-m", "app.core.serve"], "the same, logging each request"),
}
WORK = {
    "GET one": ("/", ["one", "{keys}"]),
    "GET 50": ("/items?limit=50", ["list"]),
    "POST": ("/", ["post", "{prefix}"]),
    "GET /": ("/", ["root"]),
}


HEADINGS = (
    "| × limit | × plain | p50 ms | p99 ms | app µs | PostgreSQL µs | round trips "
    "| errors |"
)


@dataclass
class Server:
    name: str
    url: str
    process: subprocess.Popen[str]

    def memory(self) -> float:
        """Return the resident memory in MiB."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def cpu_seconds(process: int, *, with_ended_children: bool = False) -> float:
    """Return the CPU time that a process has used."""
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    counted = fields[11:15] if with_ended_children else fields[11:13]
    return sum(map(int, counted)) / os.sysconf("SC_CLK_TCK")


def postgres_cpu_seconds(postgres: Postgres) -> float:
    main, *children = postgres.processes()
    total = cpu_seconds(main, with_ended_children=True)
    for child in children:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            total += cpu_seconds(child)
    return total


def render(directory: Path) -> Project:
    """Render the template of the working tree and install what it depends on."""
    template, project = directory / "template", Project(directory / "project")
    ignore = shutil.ignore_patterns("__pycache__", ".ruff_cache")
    for name in ("template", "includes"):
        shutil.copytree(ROOT / name, template / name, ignore=ignore)
    shutil.copy(ROOT / "copier.yml", template)
    copy = ["copier", "copy", "--defaults", "--quiet", template, project.path]
    subprocess.run(copy, check=True)
    project.run("uv", "sync", "--quiet")
    return project


def fill(project: Project, postgres: Postgres) -> None:
    """Make the table as the project does, and give it its rows."""
    project.run("alembic", "upgrade", "head", DATABASE_URL=postgres.url)
    postgres.query(
        "INSERT INTO item (id, name, description, quantity, version) SELECT uuidv7(), "
        "'Item ' || n, 'Number ' || n || ' of many', n % 100, 1 "
        f"FROM generate_series(1, {ROWS}) n"
    )
    postgres.query("VACUUM ANALYZE item")


@contextlib.contextmanager
def serve(name: str, project: Project, database: str) -> Generator[Server]:
    """Run a server while the context lasts, with the packages of the project."""
    directory, command, _ = SERVERS[name]
    port = free_port()
    if name == PLAIN:
        database = database.replace("postgresql:", "postgresql+asyncpg:")
    environment = {
        "DATABASE_URL": database,
        "ENVIRONMENT": "production",
        "APP_TITLE": "Benchmark",
        "APP_VERSION": "1.0",
    }
    with (project.path.parent / f"{name}.log").open("a") as log:
        process = subprocess.Popen(
            [project.path / ".venv/bin/python", *command, f"--port={port}"],
            cwd=directory or project.path,
            env=project.environment(environment),
            stdout=log,
            stderr=log,
            text=True,
        )
    try:
        server = Server(name, f"http://127.0.0.1:{port}", process)

        def answers() -> bool:
            assert process.poll() is None, Path(log.name).read_text()
            with contextlib.suppress(httpx2.TransportError):
                return httpx2.get(f"{server.url}/").status_code == 200
            return False

        wait_until(answers)
        yield server
    finally:
        process.terminate()
        process.wait(timeout=30)


def check_answers(servers: list[Server], keys: list[str]) -> None:
    """Raise where two servers answer the same request differently."""
    some = random.Random(1).sample(keys, 5)
    paths = [*(f"/items/{key}" for key in some), "/items?limit=50", "/"]
    for path in paths:
        answers = {server.name: httpx2.get(server.url + path) for server in servers}
        expected = answers[LIMIT].json()
        for name, answer in answers.items():
            # Only the service says where the next page begins.
            seen = answer.json()
            seen |= {"next": None} if "next" in seen else {}
            if answer.status_code != 200 or seen != expected:
                sys.exit(f"{name} answers {path} with {answer.text}, not {expected}")
    for server in servers:
        new = {"name": f"Check {server.name}", "description": None, "quantity": 3}
        answer = httpx2.post(f"{server.url}/items", json=new)
        created = answer.json()
        stored = httpx2.get(f"{servers[0].url}/items/{created.get('id')}").json()
        if answer.status_code != 201 or not new.items() <= created.items() == (
            stored.items()
        ):
            sys.exit(f"{server.name} answers POST with {answer.text}")


def round_trips(project: Project, postgres: Postgres, keys: list[str]) -> Numbers:
    """Return how often a request of each kind waits for PostgreSQL, seen on the wire."""
    counted: dict[str, dict[str, float]] = {}
    for name in SERVERS:
        with (
            count_round_trips(postgres.port) as wire,
            serve(name, project, wire.redirect(postgres.url)) as server,
            httpx2.Client(base_url=server.url) as client,
        ):
            requests = {
                "GET one": lambda client=client: client.get(f"/items/{keys[0]}"),
                "GET 50": lambda client=client: client.get("/items?limit=50"),
                "POST": lambda client=client, name=name: client.post(
                    "/items", json={"name": f"{name} {time.monotonic()}"}
                ),
            }
            counted[name] = {}
            for work, request in requests.items():
                for number in range(20):
                    if number == 10:  # All have connected and prepared.
                        before = wire.round_trips
                    assert request().is_success
                    time.sleep(0.02)  # The plain design commits after it has answered.
                counted[name][work] = (wire.round_trips - before) / 10
    return counted


def load(server: Server, work: str, seconds: int, keys: Path) -> dict[str, float]:
    """Send one kind of request for some time, and return what wrk saw."""
    path, arguments = WORK[work]
    prefix = f"{server.name} {time.monotonic_ns()}"
    arguments = [part.format(keys=keys, prefix=prefix) for part in arguments]
    output = subprocess.run(
        [
            *("wrk", "--threads=1", f"--connections={CONNECTIONS}"),
            *(f"--duration={seconds}s", "--timeout=10s"),
            *(f"--script={HERE / 'requests.lua'}", server.url + path, "--"),
            *arguments,
        ],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return json.loads(output.splitlines()[-1])


def measure(
    servers: list[Server], postgres: Postgres, rounds: int, seconds: int, keys: Path
) -> Results:
    """Return the medians of all rounds, for each server and kind of request."""
    samples = defaultdict(list)
    for number in range(rounds + 1):
        for work in WORK:
            for server in random.sample(servers, len(servers)):
                app = cpu_seconds(server.process.pid)
                database = postgres_cpu_seconds(postgres)
                # One round before the others warms up.
                seen = load(server, work, seconds if number else 1, keys)
                done = max(seen["requests"], 1)
                app = (cpu_seconds(server.process.pid) - app) / done
                database = (postgres_cpu_seconds(postgres) - database) / done
                if number or not rounds:
                    samples[server.name, work].append(
                        {
                            "rate": seen["requests"] / seen["seconds"],
                            "p50": seen["p50"],
                            "p99": seen["p99"],
                            "app": app * 1e6,
                            "database": database * 1e6,
                            "errors": seen["errors"],
                        }
                    )
        print(f"round {number} of {rounds}", file=sys.stderr)
    return {
        key: {field: statistics.median(s[field] for s in many) for field in many[0]}
        | {"errors": sum(s["errors"] for s in many)}
        for key, many in samples.items()
    }


def seconds_per_test(project: Project) -> tuple[int, float]:
    """Run the tests of the generated project, and return their number and time each."""
    project.run("pytest", "-q", "--junit-xml=report.xml")
    cases = list(ET.parse(project.path / "report.xml").iter("testcase"))
    return len(cases), sum(float(case.get("time", 0)) for case in cases) / len(cases)


def report(results: Results, trips: Numbers, memory: dict[str, list[float]]) -> str:
    """Return tables of ratios and CPU times, and what else was measured, as Markdown."""
    lines = []
    for work in WORK:
        lines += [
            "",
            f"| {work} {HEADINGS}",
            "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
        ]
        for name, (_, _, title) in SERVERS.items():
            seen = results[name, work]
            limit, plain = results[LIMIT, work]["rate"], results[PLAIN, work]["rate"]
            lines.append(
                f"| {title} | {seen['rate'] / limit:.2f} | {seen['rate'] / plain:.2f} "
                f"| {seen['p50']:.0f} | {seen['p99']:.0f} | {seen['app']:.0f} "
                f"| {seen['database']:.0f} | {trips[name].get(work, 0):g} "
                f"| {seen['errors']:g} |"
            )
    added = {
        name: results[name, "GET /"]["app"] - results["framework", "GET /"]["app"]
        for name in (GENERATED, "logging")
    }
    rest, loaded = memory[GENERATED]
    lines += [
        "",
        f"The limit served {results[LIMIT, 'GET one']['rate']:.0f} GET one a second.",
        f"Beside the database the service adds {added[GENERATED]:.0f} µs of CPU to a request,",
        f"and {added['logging']:.0f} µs with a line in the log.",
        f"Memory of a process: {rest:.0f} MiB at rest, {loaded:.0f} MiB after load.",
    ]
    return "\n".join(lines[1:])


def draw(results: Results, path: Path) -> None:
    """Draw the rates of each kind of request against the plain design."""
    import matplotlib as mpl
    from matplotlib import pyplot

    mpl.rcParams.update({"svg.hashsalt": "benchmark", "font.size": 9})
    colors = [
        "#1f77b4" if name in (GENERATED, "logging") else "#c8cdd3" for name in SERVERS
    ]
    figure, axes = pyplot.subplots(1, 3, figsize=(9, 2.8), sharey=True)
    for axis, work in zip(axes, ("GET one", "GET 50", "POST"), strict=True):
        plain = results[PLAIN, work]["rate"]
        ratios = [results[name, work]["rate"] / plain for name in SERVERS]
        bars = axis.barh(
            [title for *_, title in SERVERS.values()], ratios, color=colors
        )
        axis.bar_label(bars, fmt="%.1f ×", padding=3)
        axis.set_xlim(0, max(ratios) * 1.25)
        axis.set_title(work)
        axis.set_xticks([])
        axis.spines[:].set_visible(False)
    axes[0].invert_yaxis()
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser("benchmark", description=__doc__)
    parser.add_argument("--rounds", type=int, default=12, help="0: one short one")
    parser.add_argument("--seconds", type=int, default=2, help="default: %(default)s")
    parser.add_argument("--plot", type=Path, help="where to draw the rates, as SVG")
    parser.add_argument("--json", type=Path, help="where to write all numbers")
    parser.add_argument("--tests", action="store_true", help="time the tests as well")
    parser.add_argument("--project", type=Path, help="rendered and installed already")
    arguments = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk is not installed: apt-get install wrk (or run make benchmark).")
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        directory = Path(name)
        # PostgreSQL runs as nobody where this runs as root.
        directory.chmod(0o755)
        project = (
            Project(arguments.project.resolve())
            if arguments.project
            else render(directory)
        )
        postgres = Postgres(project, directory / "postgres")
        postgres.start()
        # All servers keep their connections.
        postgres.query("ALTER SYSTEM SET max_connections = 200")
        postgres.stop()
        postgres.start()
        try:
            run(arguments, project, postgres, directory)
        finally:
            postgres.close()


def run(
    arguments: argparse.Namespace, project: Project, postgres: Postgres, directory: Path
) -> None:
    fill(project, postgres)
    file = directory / "keys"
    file.write_text(postgres.query("SELECT id FROM item ORDER BY id"))
    keys = file.read_text().split()
    trips = round_trips(project, postgres, keys)
    with contextlib.ExitStack() as stack:
        servers = [
            stack.enter_context(serve(name, project, postgres.url)) for name in SERVERS
        ]
        check_answers(servers, keys)
        memory = {server.name: [server.memory()] for server in servers}
        results = measure(servers, postgres, arguments.rounds, arguments.seconds, file)
        for server in servers:
            memory[server.name].append(server.memory())
    print(report(results, trips, memory))
    if arguments.tests:
        number, seconds = seconds_per_test(project)
        print(f"Its {number} tests take {seconds * 1000:.0f} ms each.")
    if arguments.json:
        arguments.json.write_text(
            json.dumps(
                {
                    "round trips": trips,
                    "memory": memory,
                    "results": {
                        f"{name}, {work}": seen
                        for (name, work), seen in results.items()
                    },
                },
                indent=2,
            )
        )
    if arguments.plot:
        draw(results, arguments.plot)


if __name__ == "__main__":
    main()
