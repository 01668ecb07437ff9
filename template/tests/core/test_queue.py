"""A worker, on the queue of a database."""

import asyncio
import gc
import logging
import os
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from procrastinate.jobs import Job as StoredJob
from procrastinate.manager import JobManager
from psycopg.conninfo import make_conninfo
from sqlalchemy import text
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.core import failed_jobs
from app.core.config import settings
from app.core.database import async_session_factory, engine
from app.core.database_url import parse_database_url
from app.core.jobs import Run, declared, enqueue, job
from app.core.queue import stalled, tasks, work
from app.core.queue.connector import connection_parameters

ROOT = Path(__file__).parents[2]
JOBS = text("SELECT task_name, status, attempts FROM procrastinate_jobs ORDER BY id")
runs: list[str] = []
started, finish = asyncio.Event(), asyncio.Event()


@pytest.fixture(autouse=True)
async def only_jobs_of_the_test(
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncGenerator[None]:
    """Leave no job, declared or stored, from one test to another; wait for nothing."""
    for name in [*declared]:
        monkeypatch.delitem(declared, name)
    monkeypatch.setattr(work, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(stalled, "RESCUE_SECONDS", 0.05)
    monkeypatch.setattr(tasks, "pause", lambda _: 0)
    monkeypatch.setattr(work, "RECONNECT_SECONDS", 0.05)
    for event in (started, finish):
        event.clear()
    runs.clear()
    yield
    async with engine.begin() as connection:
        tables = "procrastinate_jobs, procrastinate_events"
        more = "procrastinate_periodic_defers"
        await connection.execute(text(f"TRUNCATE {tables}, {more}"))


@asynccontextmanager
async def working(grace: float = 20) -> AsyncGenerator[None]:
    stopping = asyncio.Event()
    worker = asyncio.create_task(work.work(stopping, grace=grace))
    try:
        yield
    finally:
        stopping.set()
        await worker


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not happened():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def stored_jobs() -> list[tuple[str, str, int]]:
    async with engine.connect() as connection:
        return [(row[0], row[1], row[2]) for row in await connection.execute(JOBS)]


async def until_stored(*expected: tuple[str, str, int]) -> None:
    async with asyncio.timeout(30):
        while await stored_jobs() != [*expected]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def stalled_workers() -> int:
    stalled = text(
        "SELECT count(*) FROM procrastinate_workers WHERE last_heartbeat = 'epoch'"
    )
    async with engine.connect() as connection:
        return await connection.scalar(stalled) or 0


async def store(sql: str) -> None:
    async with engine.begin() as connection:
        await connection.execute(text(sql))


def run_jobs_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    url = settings.DATABASE_URL.render_as_string(hide_password=False)
    # As in a container, which has no command of the project itself.
    return subprocess.run(
        [sys.executable, "-m", "app.core.failed_jobs", *arguments],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": url},
        check=False,
        capture_output=True,
        text=True,
    )


async def test_a_job_runs_once_it_is_committed_and_leaves_nothing() -> None:
    @job(name="test.note")
    async def note(run: Run, what: str) -> None:
        runs.append(what)

    async with working(), async_session_factory.begin() as session:
        await enqueue(session, note.call("first"))
        await session.commit()
        await until(lambda: runs == ["first"])
        await until_stored()


async def test_a_job_that_raises_runs_again_until_it_is_given_up() -> None:
    @job(name="test.fail", attempts=3)
    async def fail(run: Run) -> None:
        runs.append(str(run.attempt))
        raise ValueError("again")

    async with async_session_factory.begin() as session:
        await enqueue(session, fail.call(), queueing_lock="one")
    async with working():
        await until_stored(("test.fail", "failed", 3))
    assert runs == ["1", "2", "3"]

    (listed,) = await failed_jobs.carry_out("failed", [])
    id = int(listed.split()[0])
    assert "test.fail  3 attempts" in listed
    assert await failed_jobs.carry_out("retry", [id, 0]) == [
        f"{id} is run again",
        "0 is not a failed job",
    ]
    async with working():
        await until_stored(("test.fail", "failed", 4))
    assert runs == ["1", "2", "3", "4"]
    assert await failed_jobs.carry_out("delete", [id]) == [f"{id} is deleted"]
    assert await stored_jobs() == []


async def test_a_job_that_was_given_up_can_run_beside_one_with_its_queueing_lock() -> (
    None
):
    await store("""
        INSERT INTO procrastinate_jobs (id, queue_name, task_name, status, queueing_lock)
        VALUES (0, 'test.old', 'test.old', 'failed', 'one'),
            (1, 'test.old', 'test.old', 'todo', 'one')
    """)

    assert await failed_jobs.carry_out("retry", [0]) == ["0 is run again"]
    assert await stored_jobs() == [("test.old", "todo", 0)] * 2


@pytest.mark.parametrize("command", ["retry", "delete"])
async def test_a_command_that_cannot_be_committed_does_not_say_that_it_is_done(
    command: str,
) -> None:
    await store("""
        INSERT INTO procrastinate_jobs (id, queue_name, task_name, status)
        VALUES (0, 'test.old', 'test.old', 'failed')
    """)
    await store("""
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql
        AS $$ BEGIN RAISE 'refused'; END $$
    """)
    await store("""
        CREATE CONSTRAINT TRIGGER refuse AFTER UPDATE OR DELETE ON procrastinate_jobs
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()
    """)
    try:
        result = await asyncio.to_thread(run_jobs_command, command, "0")
    finally:
        await store("DROP FUNCTION refuse CASCADE")

    assert (result.returncode, result.stdout) == (1, "")
    assert "refused" in result.stderr


@pytest.mark.parametrize("error", [asyncio.CancelledError, SystemExit])
async def test_a_job_that_raises_what_is_no_exception_is_given_up_too(
    error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    @job(name="test.fail", attempts=2)
    async def fail(run: Run) -> None:
        raise error

    async with async_session_factory.begin() as session:
        await enqueue(session, fail.call())
    async with working():
        await until_stored(("test.fail", "failed", 2))
    messages = [record.message for record in caplog.records]
    assert messages.count("job failed") == messages.count("job given up") == 1


async def test_a_worker_goes_on_while_its_jobs_hold_every_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked = asyncio.Event()

    def begin() -> None:
        looked.set()
        raise PoolTimeoutError

    @job(name="test.note")
    async def note(run: Run) -> None:
        started.set()
        await finish.wait()
        runs.append(str(run.attempt))

    async with async_session_factory.begin() as session:
        await enqueue(session, note.call())
    async with working(grace=0):
        await started.wait()
        with monkeypatch.context() as patch:
            patch.setattr(stalled, "engine", SimpleNamespace(begin=begin))
            for _ in range(2):
                looked.clear()
                await looked.wait()
        finish.set()
        await until_stored()
    assert runs == ["1"]


async def test_a_job_that_fails_runs_again_beside_one_with_its_queueing_lock() -> None:
    @job(name="test.fail", attempts=2)
    async def fail(run: Run) -> None:
        runs.append(str(run.attempt))
        started.set()
        await finish.wait()
        if run.attempt == 1 and len(runs) == 1:
            raise ValueError("again")

    async with working():
        for _ in range(2):
            async with async_session_factory.begin() as session:
                assert await enqueue(session, fail.call(), queueing_lock="one")
            await started.wait()
        finish.set()
        await until_stored()
    assert len(runs) == 3


async def test_a_job_runs_whether_or_not_its_queueing_lock_can_be_freed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fail(_: int) -> None:
        raise PoolTimeoutError

    @job(name="test.locked", attempts=2)
    async def locked(run: Run) -> None:
        runs.append(str(run.attempt))
        if run.attempt == 1:
            raise ValueError("again")

    monkeypatch.setattr(tasks, "free_queueing_lock", fail)
    async with async_session_factory.begin() as session:
        await enqueue(session, locked.call(), queueing_lock="one")
    async with working():
        await until_stored()
    assert runs == ["1", "2"]


async def test_a_job_that_this_release_does_not_know_waits() -> None:
    await store("""
        INSERT INTO procrastinate_jobs (queue_name, task_name)
        VALUES ('test.new', 'test.new'), ('test.note', 'test.note')
    """)

    @job(name="test.note")
    async def note(run: Run) -> None:
        runs.append("known")

    async with working():
        await until_stored(("test.new", "todo", 0))
    assert runs == ["known"]


async def test_a_job_that_takes_too_long_at_the_end_runs_elsewhere() -> None:
    @job(name="test.long", attempts=1)
    async def long(run: Run) -> None:
        runs.append(str(run.attempt))
        started.set()
        await finish.wait()

    async with async_session_factory.begin() as session:
        await enqueue(session, long.call())
    async with working(grace=0):
        await started.wait()
    assert await stored_jobs() == [("test.long", "todo", 1)]

    finish.set()
    async with working():
        await until_stored()
    assert runs == ["1", "2"]


async def test_a_job_in_time_ends_before_the_worker_does() -> None:
    @job(name="test.short")
    async def short(run: Run) -> None:
        started.set()
        await finish.wait()
        runs.append("done")

    async with async_session_factory.begin() as session:
        await enqueue(session, short.call())
    async with working():
        await started.wait()
        asyncio.get_running_loop().call_later(0.1, finish.set)
    assert runs == ["done"]
    assert await stored_jobs() == []


async def test_a_worker_counts_as_alive_until_its_last_job_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(work, "HEARTBEAT_SECONDS", 0.05)

    @job(name="test.last")
    async def last(run: Run) -> None:
        started.set()
        await finish.wait()

    async with async_session_factory.begin() as session:
        await enqueue(session, last.call())
    stopping = asyncio.Event()
    worker = asyncio.create_task(work.work(stopping, grace=60))
    await started.wait()
    stopping.set()
    try:
        async with asyncio.timeout(30):
            for _ in range(2):
                # As if its reports had ended when it was told to stop.
                await store("UPDATE procrastinate_workers SET last_heartbeat = 'epoch'")
                while await stalled_workers():  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
    finally:
        finish.set()
        await worker
    assert await stored_jobs() == []


async def test_the_jobs_of_a_dead_worker_run_again_until_they_are_given_up() -> None:
    @job(name="test.poison", attempts=3)
    async def poison(run: Run) -> None:
        runs.append(str(run.attempt))

    await store("""
        INSERT INTO procrastinate_jobs (queue_name, task_name, status, attempts)
        VALUES ('test.poison', 'test.poison', 'doing', 1),
            ('test.poison', 'test.poison', 'doing', 2),
            ('test.other', 'test.other', 'doing', 0)
    """)
    async with working():
        await until_stored(("test.poison", "failed", 3), ("test.other", "doing", 0))
    assert runs == ["3"]


async def test_a_job_that_has_ended_before_it_is_rescued_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    @job(name="test.slow")
    async def slow(run: Run) -> None:
        runs.append(str(run.id))

    async def one_that_has_ended(*_: object, **__: object) -> list[StoredJob]:
        started.set()
        ended = StoredJob(queue="a", lock=None, queueing_lock=None, task_name=slow.name)
        return [ended.evolve(id=-1)]

    monkeypatch.setattr(JobManager, "get_stalled_jobs", one_that_has_ended)
    async with working():
        await started.wait()
        async with async_session_factory.begin() as session:
            id = await enqueue(session, slow.call())
        await until(lambda: runs == [str(id)])

    assert "worker connects again" not in caplog.messages


async def test_a_job_that_others_have_ended_meanwhile_is_one_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    @job(name="test.slow")
    async def slow(run: Run) -> None:
        started.set()
        await finish.wait()

    async with async_session_factory.begin() as session:
        await enqueue(session, slow.call())
    async with working():
        await started.wait()
        await store("DELETE FROM procrastinate_jobs")
        finish.set()
    gc.collect()  # Fails the test for an exception that nobody has retrieved.

    (line,) = (vars(r) for r in caplog.records if r.levelno >= logging.WARNING)
    assert line["message"] == "job was ended elsewhere"
    assert line["job"] == "test.slow"


async def test_the_rescue_of_jobs_ends_though_the_driver_loses_its_cancellation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def lose_a_cancellation(*_: object, **__: object) -> list[StoredJob]:
        runs.append("look")
        assert runs == ["look"]
        started.set()
        with suppress(asyncio.CancelledError):
            await finish.wait()
        return []

    monkeypatch.setattr(JobManager, "get_stalled_jobs", lose_a_cancellation)
    rescuing = asyncio.create_task(stalled.rescue_jobs(tasks.make_queue(finish.set)))
    await started.wait()

    rescuing.cancel()
    await rescuing


async def test_two_workers_run_a_periodic_job_once_each_time() -> None:
    @job(name="test.tick", every="* * * * *")
    async def tick(run: Run, timestamp: int = 0) -> None:
        runs.append(str(timestamp))

    tick.every = "* * * * * *"  # Every second, which a service cannot ask for.

    async with working(), working():
        await until(lambda: len(set(runs)) >= 3)
    assert sorted(set(runs)) == sorted(runs)


async def test_a_worker_connects_again_after_it_lost_its_connections() -> None:
    @job(name="test.note")
    async def note(run: Run, what: str) -> None:
        runs.append(what)

    async with working():
        async with async_session_factory.begin() as session:
            await enqueue(session, note.call("before"))
        await until(lambda: runs == ["before"])
        await until_stored()
        async with engine.connect() as connection:
            await connection.execute(
                text("""
                    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                    WHERE datname = current_database()
                      AND application_name LIKE '% worker'
                """)
            )
        async with async_session_factory.begin() as session:
            await enqueue(session, note.call("after"))
        # Perhaps twice, if the first time was not noted.
        await until(lambda: "after" in runs)


def run_worker(port: int, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a worker on a port where it cannot listen."""
    return subprocess.run(
        [sys.executable, "-m", "app.core.worker", "--port", str(port)],
        cwd=ROOT,
        env={**os.environ, **variables},
        check=False,
        capture_output=True,
        text=True,
    )


def test_a_worker_whose_port_is_in_use_says_so_and_runs_no_job() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        worker = run_worker(server.getsockname()[1])

    log = worker.stdout + worker.stderr
    assert worker.returncode != 0
    assert "Address already in use" in log
    assert "worker starts" not in log
    assert "Traceback" not in log


def test_a_worker_points_out_a_port_and_a_setting_that_do_not_exist() -> None:
    worker = run_worker(99_999, JOB_CONCURENCY="5", JOB_CONCURRENCY="")

    *warnings, problem = worker.stderr.splitlines()
    assert "JOB_CONCURENCY has no effect; is it JOB_CONCURRENCY?" in "".join(warnings)
    assert problem.startswith("Cannot listen on port 99999 of 127.0.0.1:")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "postgresql://me:p%40@one,two:5433/app?sslmode=verify-full",
            {"host": "one,two", "port": "5432,5433", "password": "p@"}
            | {"sslmode": "verify-full", "dbname": "app", "user": "me"},
        ),
        ("postgresql://app@/postgres?host=/tmp/pg", {"host": "/tmp/pg", "user": "app"}),
        ("postgresql://one/app?direct_tls=true", {"sslnegotiation": "direct"}),
        (
            "postgresql://one/app?passfile=/p&service=s&servicefile=/s&krbsrvname=pg",
            {"passfile": "/p", "service": "s", "krbsrvname": "pg"},
        ),
        (
            "postgresql://a/app?target_session_attrs=any&prepared_statement_cache_size=0",
            {"target_session_attrs": "any"},
        ),
    ],
)
def test_a_worker_connects_to_the_database_that_the_service_has(
    url: str, expected: dict[str, str]
) -> None:
    parameters = connection_parameters(parse_database_url(url))

    assert parameters | expected == parameters
    make_conninfo(**parameters)  # Refuses an option that libpq does not know.


def test_a_worker_behind_a_pgbouncer_sets_nothing_that_it_would_refuse(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(settings, "DB_PGBOUNCER", True)

    parameters = connection_parameters(parse_database_url("postgresql://one/app"))

    assert parameters == {
        "host": "one",
        "dbname": "app",
        "connect_timeout": 3,
        "prepare_threshold": None,
    }
