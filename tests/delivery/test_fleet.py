"""Several services, a pooler and a replica: what a release and a lost machine cost."""

import asyncio
import contextlib
import signal
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Generator
from itertools import count
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.harness.fleet import POOL_SIZE, SERVER_CONNECTIONS, SERVICES, Fleet
from tests.harness.postgres import Postgres
from tests.harness.project import Project, wait_until
from tests.harness.revisions import newest_revision
from tests.harness.types import Measure, Render

numbers = count()
SECONDS_LOST = 25

MIGRATION = '''"""Add color to item."""

import sqlalchemy as sa
from alembic import op

revision = "c0ffee000001"
down_revision = "{down}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("item", sa.Column("color", sa.String(20), server_default="green"))
    with op.get_context().autocommit_block():
        op.create_index("ix_item_color", "item", ["color"], postgresql_concurrently=True)


def downgrade() -> None:
    op.drop_column("item", "color")
'''


@pytest.fixture(scope="module")
def project(installed: Render) -> Project:
    return installed()


@pytest.fixture(scope="module")
def fleet(
    project: Project, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Fleet]:
    fleet = Fleet(project, tmp_path_factory.mktemp("fleet"))
    yield fleet
    fleet.close()


@pytest.fixture
def next_release(project: Project, tmp_path: Path) -> Project:
    """The service with a migration more, beside the one that runs."""
    release = project.copy_with_environment(tmp_path / "release")
    text = MIGRATION.format(down=newest_revision(release))
    path = release.path / "alembic" / "versions" / "2026_02_01_0000-add_color.py"
    path.write_text(text)
    return release


class Load:
    """A few clients, each of which waits for its answers: reads mostly, and writes."""

    def __init__(self, url: str, clients: int = 8) -> None:
        limits = httpx2.Limits(max_connections=100, max_keepalive_connections=100)
        self.client = httpx2.AsyncClient(base_url=url, timeout=30, limits=limits)
        self.reads: Counter[object] = Counter()
        self.writes: Counter[object] = Counter()
        self.slowest = 0.0
        self.last_failure = 0.0
        self.clients = clients

    async def ask(self, method: str, path: str, **kwargs: Any) -> object:
        start = time.monotonic()
        try:
            outcome: object = (
                await self.client.request(method, path, **kwargs)
            ).status_code
        except httpx2.TransportError as error:
            outcome = type(error).__name__
        self.slowest = max(self.slowest, time.monotonic() - start)
        if outcome not in {200, 201}:
            self.last_failure = time.monotonic()
        return outcome

    async def read(self) -> None:
        self.reads[await self.ask("GET", "/items?limit=5")] += 1

    async def write(self) -> None:
        body = {"name": f"Lamp {next(numbers)}"}
        self.writes[await self.ask("POST", "/items", json=body)] += 1

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Ask again and again while the context lasts."""
        stop = asyncio.Event()

        async def work() -> None:
            while not stop.is_set():
                for _ in range(3):
                    await self.read()
                await self.write()
                await asyncio.sleep(0.02)

        async with self.client, asyncio.TaskGroup() as tasks:
            for _ in range(self.clients):
                tasks.create_task(work())
            try:
                yield
            finally:
                stop.set()

    def __str__(self) -> str:
        return f"reads {dict(self.reads)}, writes {dict(self.writes)}"


def under_load(fleet: Fleet, work: Callable[[], Any]) -> tuple[Load, Any]:
    """Do something in a thread while clients ask, and a moment before and after."""

    async def run() -> tuple[Load, Any]:
        load = Load(fleet.url)
        async with load.running():
            await asyncio.sleep(1)
            result = await asyncio.to_thread(work)
            await asyncio.sleep(1)
        return load, result

    return asyncio.run(run())


def scans(postgres: Postgres, url: str) -> int:
    """Return how often a server has looked into the table of the items."""
    sql = "SELECT seq_scan + coalesce(idx_scan, 0) FROM pg_stat_user_tables"
    return int(postgres.query(f"{sql} WHERE relname = 'item'", url) or 0)


def get(url: str) -> int:
    return httpx2.get(url, timeout=30).status_code


def stored(fleet: Fleet) -> int:
    url = fleet.database(fleet.primary.port)
    return int(fleet.primary.query("SELECT count(*) FROM item", url))


def test_the_replica_takes_the_reads(fleet: Fleet, measure: Measure) -> None:
    primary, replica = (
        (server, fleet.database(server.port))
        for server in (fleet.primary, fleet.replica)
    )
    before = scans(*primary), scans(*replica)

    statuses = Counter(get(f"{fleet.url}/items?limit=5") for _ in range(100))

    assert statuses == {200: 100}
    wait_until(lambda: scans(*replica) - before[1] >= 100)
    on_primary = scans(*primary) - before[0]
    measure(
        f"Reads: {scans(*replica) - before[1]} on the replica, {on_primary} on the primary."
    )
    assert on_primary == 0


def test_pgbouncer_lends_a_few_connections_to_many_clients(
    fleet: Fleet, measure: Measure
) -> None:
    busiest = Counter[str]()
    sql = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'"

    async def run() -> Load:
        load = Load(fleet.url)

        async def look() -> None:
            while True:
                servers = int(await asyncio.to_thread(fleet.primary.query, sql))
                pools = await asyncio.to_thread(fleet.ask_pgbouncer, "SHOW POOLS")
                clients = sum(
                    int(pool["cl_active"]) + int(pool["cl_waiting"])
                    for pool in pools
                    if pool["database"] == "app"
                )
                busiest["servers"] = max(busiest["servers"], servers)
                busiest["clients"] = max(busiest["clients"], clients)

        watch = asyncio.create_task(look())
        async with load.client:
            for _ in range(15):
                await asyncio.gather(*(load.write() for _ in range(30)))
        watch.cancel()
        return load

    load = asyncio.run(run())

    measure(
        f"PgBouncer: {busiest['clients']} clients on {busiest['servers']} connections of "
        f"{SERVER_CONNECTIONS}; {load}."
    )
    assert load.writes == {201: 450}
    assert busiest["servers"] <= SERVER_CONNECTIONS
    assert SERVER_CONNECTIONS < busiest["clients"] <= SERVICES * POOL_SIZE


def test_a_release_with_a_migration_fails_no_request(
    fleet: Fleet, next_release: Project, measure: Measure
) -> None:
    before = stored(fleet)

    def release() -> list[int]:
        fleet.migrate(next_release)
        return fleet.roll(next_release)

    load, codes = under_load(fleet, release)

    measure(f"A release with a migration: {load}; slowest {load.slowest:.2f} s.")
    assert set(load.reads) == {200}
    assert set(load.writes) == {201}
    assert stored(fleet) - before == load.writes[201]
    assert codes == [0] * SERVICES


def test_another_login_of_the_database_fails_no_request(
    fleet: Fleet, project: Project, measure: Measure
) -> None:
    """And an older release works on the newer schema: the way back is open."""
    load, _ = under_load(fleet, lambda: fleet.roll(project, login="rotated"))

    measure(f"A release back, with another login: {load}.")
    assert set(load.reads) == {200}
    assert set(load.writes) == {201}
    logins = "SELECT DISTINCT usename FROM pg_stat_activity WHERE datname = 'app'"
    assert "rotated" in fleet.replica.query(logins).split()


@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_while_the_replica_is_lost_the_primary_takes_the_reads(
    fleet: Fleet, measure: Measure, how: str
) -> None:
    replica = (fleet.replica, fleet.database(fleet.replica.port))
    seconds = {}

    def lose() -> None:
        frozen = how == "frozen"
        seconds["lost"] = time.monotonic()
        fleet.replica.signal(signal.SIGSTOP) if frozen else fleet.replica.kill()
        try:
            wait_until(lambda: time.monotonic() - seconds["lost"] > SECONDS_LOST)
        finally:
            fleet.replica.signal(signal.SIGCONT) if frozen else fleet.replica.start()
        start, before = time.monotonic(), scans(*replica)
        wait_until(lambda: scans(*replica) - before > 100)
        seconds["back"] = time.monotonic() - start

    load, _ = under_load(fleet, lose)

    failing = max(0, load.last_failure - seconds["lost"])
    measure(
        f"The replica {how} for {SECONDS_LOST} s: {load}; the last failure after "
        f"{failing:.1f} s, the slowest {load.slowest:.1f} s; read from again "
        f"{seconds['back']:.1f} s after its return."
    )
    assert set(load.writes) == {201}
    # Killed: each read is tried again. Frozen: those that hang end with a 503.
    assert set(load.reads) <= ({200} if how == "killed" else {200, 503})
    assert failing < SECONDS_LOST
    assert load.slowest < 10


def test_while_the_primary_is_down_requests_are_503_and_then_succeed_again(
    fleet: Fleet, measure: Measure
) -> None:
    port = next(iter(fleet.services))

    def post(url: str) -> int:
        body = {"name": f"Lamp {next(numbers)}"}
        return httpx2.post(f"{url}/items", json=body, timeout=30).status_code

    direct = f"http://127.0.0.1:{port}"
    # It may still read on the primary: another test has taken the replica from it.
    replica = (fleet.replica, fleet.database(fleet.replica.port))
    before = scans(*replica)
    wait_until(lambda: get(f"{direct}/items") == 200 and scans(*replica) > before)
    fleet.primary.stop()
    start = time.monotonic()
    statuses = [post(direct), get(f"{direct}/items")]
    lost = time.monotonic() - start
    wait_until(lambda: get(f"{fleet.url}/items") == 503)
    fleet.primary.start()
    start = time.monotonic()
    wait_until(lambda: post(fleet.url) == 201)
    back = time.monotonic() - start

    measure(
        f"The primary stopped: 503 after {lost:.1f} s, good again after {back:.1f} s."
    )
    assert statuses == [503, 200]
