"""Jobs survive whatever ends their worker, the service or PostgreSQL."""

import asyncio
import signal
import subprocess
from collections.abc import Generator
from pathlib import Path
from time import perf_counter

import httpx2
import pytest

from tests.harness.postgres import Postgres
from tests.harness.project import Project, free_port, wait_until
from tests.harness.types import Measure, Render
from tests.harness.working import prepare, store, working

IN_SERVICE = Path(__file__).parent / "in_service"
JOBS = 2_000
# After so many hundredths of the jobs: what is killed.
EVENTS = {10: "worker", 30: "PostgreSQL", 50: "worker", 70: "PostgreSQL", 85: "worker"}


@pytest.fixture(scope="module")
def project(installed: Render, tmp_path_factory: pytest.TempPathFactory) -> Project:
    path = tmp_path_factory.mktemp("jobs") / "project"
    return installed(jobs=True).copy_with_environment(path)


@pytest.fixture(autouse=True)
def nothing_left(project: Project, postgres: Postgres) -> Generator[None]:
    prepare(project, postgres, IN_SERVICE / "trials.py")
    yield
    listening = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
    wait_until(lambda: postgres.query(listening) == "0")


def starts(postgres: Postgres, name: str) -> list[float]:
    """Return when a job started, by PostgreSQL's clock."""
    times = f"SELECT extract(epoch FROM at) FROM trial_start WHERE name = '{name}'"
    return [float(time) for time in postgres.query(f"{times} ORDER BY at").split()]


def waiting(postgres: Postgres, status: str = "todo") -> int:
    count = "SELECT count(*) FROM procrastinate_jobs"
    return int(postgres.query(f"{count} WHERE status = '{status}'"))


@pytest.mark.promise(27)
def test_no_job_is_lost_and_no_keyed_write_done_twice_whatever_is_killed(
    project: Project, postgres: Postgres, measure: Measure
) -> None:
    # The same, but for how soon a worker counts as dead: that has a test of its own.
    module = project.path / "app" / "core" / "queue" / "stalled.py"
    original = module.read_text()
    module.write_text(original.replace("STALLED_SECONDS = 30", "STALLED_SECONDS = 6"))
    store(postgres, "trials.write", "jsonb_build_object('number', number)", JOBS)
    written = "SELECT count(DISTINCT number) FROM trial_write"
    try:
        with working(project, postgres) as worker:
            begin = perf_counter()
            for hundredths, event in EVENTS.items():
                due = JOBS * hundredths // 100
                wait_until(lambda due=due: int(postgres.query(written)) >= due)
                if event == "worker":
                    worker.kill()
                    worker.start()
                else:
                    postgres.kill()
                    postgres.start()
                    assert worker.process.poll() is None
            wait_until(lambda: waiting(postgres) + waiting(postgres, "doing") == 0)
            seconds = perf_counter() - begin
    finally:
        module.write_text(original)

    done = int(postgres.query(written))
    twice = int(postgres.query("SELECT count(*) FROM trial_write")) - done
    failed = waiting(postgres, "failed")
    ran = int(postgres.query("SELECT count(*) FROM trial_start"))
    measure(
        f"{JOBS} jobs, a worker killed 3 times and PostgreSQL 2 times: {JOBS - done} "
        f"lost, {failed} given up, {twice} keyed writes done twice, {ran - JOBS} started "
        f"again, {seconds:.0f} s."
    )
    assert (done, failed, twice) == (JOBS, 0, 0)


@pytest.mark.promise(27)
def test_the_jobs_of_a_killed_worker_run_again_and_one_that_kills_it_is_given_up(
    project: Project, postgres: Postgres, measure: Measure
) -> None:
    store(postgres, "trials.sleep", """'{"seconds": 1000}'""")
    with working(project, postgres) as worker, working(project, postgres) as other:
        wait_until(lambda: len(starts(postgres, "sleep")) == 1)
        store(postgres, "trials.poison")
        workers = (worker, other)
        deaths = 0

        def given_up() -> bool:
            nonlocal deaths
            for each in workers:
                if each.process.poll() is not None:
                    assert each.process.returncode == -signal.SIGKILL
                    deaths += 1
                    each.start()
            return waiting(postgres, "failed") == 1

        deadline = perf_counter() + 120
        while not given_up():
            assert perf_counter() < deadline
        attempts = postgres.query(
            "SELECT task_name, attempts FROM procrastinate_jobs WHERE status = 'failed'"
        )
        first, second = starts(postgres, "poison")
        measure(
            f"A job that kills its worker ran again after {second - first:.0f} s, and was "
            f"given up after {deaths} dead workers."
        )
    assert second - first <= 45
    assert deaths == 2
    assert attempts == "trials.poison|2"


@pytest.mark.promise(27)
def test_sigterm_lets_a_job_in_time_finish_and_returns_a_longer_one(
    project: Project, postgres: Postgres, measure: Measure
) -> None:
    store(postgres, "trials.sleep", """'{"seconds": 2}'""")
    with working(project, postgres) as worker:
        wait_until(lambda: len(starts(postgres, "sleep")) == 1)
        in_time = worker.terminate()
    assert len(starts(postgres, "slept")) == 1
    assert waiting(postgres) == 0

    store(postgres, "trials.sleep", """'{"seconds": 6}'""")
    with working(project, postgres, SHUTDOWN_SECONDS="1") as worker:
        wait_until(lambda: len(starts(postgres, "sleep")) == 2)
        worker.process.send_signal(signal.SIGTERM)
        wait_until(lambda: worker.status() in (503, None))
        with working(project, postgres):
            too_long = worker.process.wait(timeout=60)
            wait_until(lambda: len(starts(postgres, "slept")) == 2)
    _, first, second = starts(postgres, "sleep")
    measure(
        f"SIGTERM with a job in time: finished, exit {in_time}; with one that takes too "
        f"long: exit {too_long}, started elsewhere {second - first:.1f} s after its start."
    )
    assert (in_time, too_long) == (0, 0)


@pytest.mark.promise(27)
def test_a_row_and_its_job_are_stored_together_or_not_at_all(
    project: Project, postgres: Postgres, measure: Measure
) -> None:
    settings = {"ENVIRONMENT": "production", "DATABASE_URL": postgres.url}
    port = free_port()
    command = ("python", "-m", "app.core.serve", "--port", str(port))
    acknowledged: set[str] = set()

    def start() -> subprocess.Popen[bytes]:
        return project.spawn(*command, log="killed.txt", **settings)

    async def write_all() -> None:
        numbers = iter(range(1_000_000))

        async def write() -> None:
            while len(acknowledged) < 1200:
                name = f"Item {next(numbers)}"
                try:
                    response = await client.post("/items", json={"name": name})
                except httpx2.TransportError:
                    await asyncio.sleep(0.05)
                    continue
                if response.status_code == 201:
                    acknowledged.add(response.json()["id"])

        async def kill() -> None:
            nonlocal process
            for after in (300, 600, 900):
                while len(acknowledged) < after:
                    await asyncio.sleep(0.005)
                process.kill()
                process.wait()
                process = start()

        url = f"http://127.0.0.1:{port}"
        async with httpx2.AsyncClient(base_url=url, timeout=30) as client:
            await asyncio.gather(kill(), *(write() for _ in range(8)))

    process = start()
    try:
        asyncio.run(write_all())
    finally:
        process.kill()
        process.wait()
    items = set(postgres.query("SELECT id FROM item").splitlines())
    jobs = postgres.query("SELECT args ->> 'item_id' FROM procrastinate_jobs")
    jobs = set(jobs.splitlines())
    measure(
        f"The service was killed 3 times under 8 clients: {len(acknowledged)} "
        f"acknowledged, {len(items - jobs)} rows without a job, {len(jobs - items)} jobs "
        "without a row."
    )
    assert acknowledged <= items
    assert items == jobs
