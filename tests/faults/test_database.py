"""What a service in production answers when PostgreSQL fails it."""

import asyncio
import contextlib
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Generator
from itertools import count
from typing import Any

import httpx2
import pytest

from tests.harness.postgres import Postgres
from tests.harness.project import Project, free_port, wait_until
from tests.harness.serving import SETTINGS, Service, concurrently, serving
from tests.harness.types import Measure


@pytest.fixture(scope="module", params=[1, 2], ids=["one worker", "two workers"])
def service(
    project: Project, postgres: Postgres, request: pytest.FixtureRequest
) -> Generator[Service]:
    with serving(project, postgres, workers=request.param) as service:
        yield service


def timed(
    client: httpx2.Client, method: str, path: str, **kwargs: Any
) -> tuple[int, float]:
    start = time.monotonic()
    status = client.request(method, path, **kwargs).status_code
    return status, time.monotonic() - start


@contextlib.contextmanager
def locked_table(project: Project, postgres: Postgres) -> Generator[None]:
    """Hold the lock that a careless migration takes, as long as the context lasts."""
    statements = ("BEGIN", "LOCK TABLE item", "SELECT pg_sleep(60)")
    commands = [part for statement in statements for part in ("-c", statement)]
    locks = (
        "SELECT count(*) FROM pg_locks WHERE granted AND mode = 'AccessExclusiveLock'"
    )
    with project.start(postgres.programs / "psql", postgres.url, *commands):
        wait_until(lambda: postgres.query(locks) != "0")
        yield


def seconds_until(happened: Callable[[], bool]) -> float:
    start = time.monotonic()
    wait_until(happened)
    return time.monotonic() - start


@pytest.mark.promise(13)
def test_while_postgresql_is_down_requests_are_503_at_once_and_then_succeed_again(
    client: httpx2.Client, postgres: Postgres, measure: Measure
) -> None:
    postgres.stop()
    answers = {
        "GET /readyz": timed(client, "GET", "/readyz"),
        "GET /livez": timed(client, "GET", "/livez"),
        "GET /items": timed(client, "GET", "/items"),
        "POST /items": timed(client, "POST", "/items", json={"name": "Lamp"}),
    }
    problem = client.get("/items")
    postgres.start()
    back = seconds_until(lambda: client.get("/items").status_code == 200)

    assert [status for status, _ in answers.values()] == [503, 200, 503, 503]
    assert problem.headers["retry-after"] == "1"
    assert problem.headers["content-type"] == "application/problem+json"
    slowest = max(seconds for _, seconds in answers.values())
    assert slowest < 2
    assert back < 1
    assert client.get("/readyz").status_code == 200
    measure(
        f"PostgreSQL down: 503 after {slowest:.2f} s at most, back in {back:.2f} s."
    )


@pytest.mark.promise(12)
def test_a_restart_of_postgresql_is_a_503_to_writers_and_over_at_once(
    client: httpx2.Client, postgres: Postgres, measure: Measure
) -> None:
    acknowledged: set[str] = set()

    async def ask(many: httpx2.AsyncClient) -> tuple[Counter[int], float]:
        statuses: Counter[int] = Counter()
        numbers, stop = count(), asyncio.Event()
        accepts = again = 0.0

        async def write() -> None:
            nonlocal again
            while not stop.is_set():
                name = f"Lamp {next(numbers)}"
                status = (await many.post("/items", json={"name": name})).status_code
                statuses[status] += 1
                if status == 201:
                    acknowledged.add(name)
                    if accepts:
                        again = again or time.monotonic()

        writers = [asyncio.create_task(write()) for _ in range(8)]
        for restart in (postgres.stop, postgres.kill):
            await asyncio.sleep(0.5)
            accepts = again = 0.0
            await asyncio.to_thread(restart)
            await asyncio.to_thread(postgres.start)
            accepts = time.monotonic()
            while not again:
                await asyncio.sleep(0.005)
        stop.set()
        await asyncio.gather(*writers)
        return statuses, again - accepts

    statuses, seconds = concurrently(client, ask)
    stored = set(postgres.query("SELECT name FROM item").splitlines())

    measure(
        f"PostgreSQL restarted and killed under writes: {dict(statuses)}, "
        f"{len(acknowledged - stored)} lost, good again {seconds:.2f} s after it accepts."
    )
    assert set(statuses) == {201, 503}
    assert acknowledged <= stored
    assert seconds < 1


@pytest.mark.promise(14)
def test_while_postgresql_is_frozen_every_request_gets_a_response(
    client: httpx2.Client, postgres: Postgres, measure: Measure
) -> None:
    client.get("/items")
    postgres.signal(signal.SIGSTOP)
    try:

        async def ask(many: httpx2.AsyncClient) -> list[tuple[str, int, float]]:
            async def one(path: str) -> tuple[str, int, float]:
                start = time.monotonic()
                response = await many.get(path)
                return path, response.status_code, time.monotonic() - start

            paths = ["/items"] * 60 + ["/readyz"] * 3
            waiting = [asyncio.create_task(one(path)) for path in paths]
            await asyncio.sleep(1)
            alive = [await one("/livez") for _ in range(3)]
            return [*await asyncio.gather(*waiting), *alive]

        answers = concurrently(client, ask)
    finally:
        postgres.signal(signal.SIGCONT)
    back = seconds_until(lambda: client.get("/items").status_code == 200)

    outcomes = Counter((path, status) for path, status, _ in answers)
    assert outcomes == {("/items", 503): 60, ("/readyz", 503): 3, ("/livez", 200): 3}
    slowest = max(seconds for _, _, seconds in answers)
    alive = max(seconds for path, _, seconds in answers if path == "/livez")
    assert slowest < 10
    measure(
        f"PostgreSQL frozen: 63 of 63 answers are 503, the last after {slowest:.1f} s; "
        f"/livez after {alive * 1000:.0f} ms; good again {back:.1f} s after it wakes."
    )


@pytest.mark.promise(11)
def test_reads_survive_storms_of_killed_connections(
    client: httpx2.Client, postgres: Postgres, measure: Measure
) -> None:
    kill = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    )

    async def ask(many: httpx2.AsyncClient) -> Counter[int]:
        statuses: Counter[int] = Counter()
        stop = asyncio.Event()
        unanswered: set[int] = set()

        async def read(reader: int) -> None:
            while not stop.is_set():
                statuses[(await many.get("/items")).status_code] += 1
                unanswered.discard(reader)

        readers = [asyncio.create_task(read(reader)) for reader in range(8)]
        for _ in range(16):
            await asyncio.to_thread(postgres.query, kill)
            # No request meets two storms, however slow the machine is.
            unanswered.update(range(8))
            while unanswered:
                await asyncio.sleep(0.02)
            await asyncio.sleep(0.1)
        stop.set()
        await asyncio.gather(*readers)
        return statuses

    statuses = concurrently(client, ask)

    measure(f"Connections killed in 16 storms under reads: {dict(statuses)}.")
    assert set(statuses) == {200}


@pytest.mark.promise(15)
def test_a_locked_table_makes_readers_wait_no_longer_than_the_settings_say(
    client: httpx2.Client, postgres: Postgres, project: Project, measure: Measure
) -> None:
    async def ask(many: httpx2.AsyncClient) -> list[tuple[int, float]]:
        async def one() -> tuple[int, float]:
            start = time.monotonic()
            status = (await many.get("/items")).status_code
            return status, time.monotonic() - start

        return await asyncio.gather(*(one() for _ in range(150)))

    with locked_table(project, postgres):
        answers = concurrently(client, ask)
    drained = seconds_until(lambda: client.get("/items").status_code == 200)

    assert Counter(status for status, _ in answers) == {503: 150}
    first, last = min(s for _, s in answers), max(s for _, s in answers)
    assert first < 3.5
    assert last < 7
    measure(
        f"150 readers of a locked table: 150 × 503, the first after {first:.1f} s, the "
        f"last after {last:.1f} s, good again after {drained:.2f} s."
    )


@pytest.mark.promise(10)
def test_more_requests_than_connections_wait_their_turn_or_hear_503(
    project: Project, postgres: Postgres, measure: Measure
) -> None:
    settings = {"DB_POOL_SIZE": "1", "DB_POOL_TIMEOUT": "0.5", "DB_LOCK_TIMEOUT": "2"}

    async def ask(many: httpx2.AsyncClient) -> Counter[int]:
        responses = await asyncio.gather(*(many.get("/items") for _ in range(20)))
        return Counter(response.status_code for response in responses)

    with serving(project, postgres, **settings) as service:
        free = concurrently(service.client, ask)
        with locked_table(project, postgres):
            exhausted = concurrently(service.client, ask)
        wait_until(lambda: service.client.get("/items").status_code == 200)

    measure(f"20 requests, one connection: {dict(free)}; it hangs: {dict(exhausted)}.")
    assert free == {200: 20}
    assert exhausted == {503: 20}


@pytest.mark.promise(10)
def test_a_statement_that_takes_too_long_is_a_503_and_ends(
    client: httpx2.Client, postgres: Postgres, measure: Measure
) -> None:
    postgres.query(
        "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_sleep(60); RETURN NEW; END $$;"
        " CREATE TRIGGER dawdle BEFORE INSERT ON item"
        " FOR EACH ROW EXECUTE FUNCTION dawdle()"
    )
    try:
        status, seconds = timed(client, "POST", "/items", json={"name": "Lamp"})
    finally:
        postgres.query("DROP FUNCTION dawdle CASCADE")
    running = (
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'INSERT INTO item%'"
    )

    measure(f"A statement of 60 s: {status} after {seconds:.1f} s.")
    assert status == 503
    assert seconds < 7
    assert postgres.query(f"{running} AND state <> 'idle'") == "0"
    assert postgres.query("SELECT count(*) FROM item") == "0"


@pytest.mark.promise(13)
def test_a_service_that_starts_before_its_database_serves_as_soon_as_that_does(
    project: Project, postgres: Postgres, measure: Measure
) -> None:
    port = free_port()
    command = ("python", "-m", "app.core.serve", "--port", str(port))
    environment = {**SETTINGS, "DATABASE_URL": postgres.url}
    project.run("alembic", "upgrade", "head", **environment)
    postgres.stop()
    try:
        with project.serve(*command, port=port, **environment) as client:
            before = [client.get(path).status_code for path in ("/livez", "/readyz")]
            refused, seconds = timed(client, "GET", "/items")
            postgres.start()
            again = seconds_until(lambda: client.get("/readyz").status_code == 200)
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            postgres.start()

    measure(
        f"Started without a database: {refused} after {seconds:.2f} s, "
        f"ready {again:.2f} s after it accepts."
    )
    assert before == [200, 503]
    assert refused == 503
    assert again < 1


def test_a_schema_that_is_behind_the_code_is_not_ready(
    client: httpx2.Client, project: Project, postgres: Postgres
) -> None:
    environment = {**SETTINGS, "DATABASE_URL": postgres.url}
    project.run("alembic", "downgrade", "base", **environment)
    behind = client.get("/readyz")
    project.run("alembic", "upgrade", "head", **environment)

    assert behind.status_code == 503
    assert "behind" in behind.text
    wait_until(lambda: client.get("/readyz").status_code == 200)


@pytest.mark.promise(10)
def test_a_database_that_became_read_only_is_a_503_to_writers(
    client: httpx2.Client, postgres: Postgres
) -> None:
    numbers = count()

    def write() -> int:
        body = {"name": f"Lamp {next(numbers)}"}
        return client.post("/items", json=body).status_code

    assert write() == 201
    postgres.query("ALTER SYSTEM SET default_transaction_read_only = on")
    postgres.query("SELECT pg_reload_conf()")
    wait_until(lambda: write() == 503)
    readers = client.get("/items").status_code
    postgres.query("ALTER SYSTEM RESET default_transaction_read_only")
    postgres.query("SELECT pg_reload_conf()")

    assert readers == 200
    wait_until(lambda: write() == 201)


@pytest.mark.promise(8)
def test_concurrent_requests_for_one_name_get_one_201_and_409s(
    client: httpx2.Client, measure: Measure
) -> None:
    async def ask(many: httpx2.AsyncClient) -> Counter[int]:
        responses = await asyncio.gather(
            *(
                many.post("/items", json={"name": f"Lamp {number % 5}"})
                for number in range(100)
            )
        )
        assert all(
            r.json()["fields"] == ["name"] for r in responses if r.status_code == 409
        )
        return Counter(response.status_code for response in responses)

    statuses = concurrently(client, ask)

    measure(f"A race of 20 for each of 5 names: {dict(statuses)}.")
    assert statuses == {201: 5, 409: 95}


@pytest.mark.promise(8)
def test_a_request_repeated_concurrently_runs_once(
    client: httpx2.Client, postgres: Postgres, measure: Measure
) -> None:
    statuses: Counter[int] = Counter()

    async def ask(many: httpx2.AsyncClient) -> set[str]:
        async def one(number: int) -> str:
            body = {"name": f"Lamp {number % 5}"}
            headers = {"Idempotency-Key": f"key-{number % 5}"}
            while True:
                response = await many.post("/items", json=body, headers=headers)
                statuses[response.status_code] += 1
                if response.status_code == 201:
                    return response.headers["location"]
                assert "still in progress" in response.json()["detail"]

        return set(await asyncio.gather(*map(one, range(100))))

    created = concurrently(client, ask)

    measure(f"5 requests, each by 20 clients at once and again: {dict(statuses)}.")
    assert statuses[201] == 100
    assert len(created) == 5
    assert postgres.query("SELECT count(*) FROM item") == "5"


@pytest.mark.promise(9)
def test_only_one_of_several_changes_to_a_version_succeeds(
    client: httpx2.Client, measure: Measure
) -> None:
    created = client.post("/items", json={"name": "Lamp"})
    path, etag = created.headers["location"], created.headers["etag"]

    async def ask(many: httpx2.AsyncClient) -> Counter[int]:
        responses = await asyncio.gather(
            *(
                many.patch(path, json={"quantity": n}, headers={"If-Match": etag})
                for n in range(1, 51)
            )
        )
        return Counter(response.status_code for response in responses)

    statuses = concurrently(client, ask)

    measure(f"50 changes of one version at once: {dict(statuses)}.")
    assert statuses == {200: 1, 412: 49}


@pytest.mark.promise(9)
def test_all_concurrent_changes_to_any_version_succeed(
    client: httpx2.Client, measure: Measure
) -> None:
    path = client.post("/items", json={"name": "Lamp"}).headers["location"]

    async def ask(many: httpx2.AsyncClient) -> Counter[int]:
        responses = await asyncio.gather(
            *(
                many.patch(path, json={"quantity": n}, headers={"If-Match": "*"})
                for n in range(1, 51)
            )
        )
        return Counter(response.status_code for response in responses)

    statuses = concurrently(client, ask)

    measure(f"50 changes of any version at once: {dict(statuses)}.")
    assert statuses == {200: 50}
    assert client.get(path).json()["version"] == 51


@pytest.mark.promise(16)
def test_clients_that_disconnect_leave_no_work_behind(
    client: httpx2.Client, postgres: Postgres, project: Project, measure: Measure
) -> None:
    busy = (
        "SELECT count(*) FROM pg_stat_activity WHERE state = 'active'"
        " AND pid <> pg_backend_pid() AND query LIKE '%FROM item%'"
    )

    async def ask(many: httpx2.AsyncClient) -> None:
        tasks = [asyncio.create_task(many.get("/items")) for _ in range(40)]
        await asyncio.sleep(0.5)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    with locked_table(project, postgres):
        concurrently(client, ask)
        at_once = postgres.query(busy)
        idle = seconds_until(lambda: postgres.query(busy) == "0")

    assert idle < 4
    measure(
        f"40 clients disconnect: {at_once} backends busy at once, 0 after {idle:.1f} s."
    )
