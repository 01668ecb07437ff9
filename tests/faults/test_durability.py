"""Nothing acknowledged is lost, nothing refused is stored, whatever is killed."""

import asyncio
import signal
from collections import Counter

import httpx2
import pytest

from tests.harness.postgres import Postgres
from tests.harness.project import Project, free_port
from tests.harness.types import Measure

WRITES = 10_000
CLIENTS = 16
# After so many writes: what is killed, stopped or restarted.
EVENTS = {
    1_500: "kill PostgreSQL",
    3_000: "kill the service",
    4_500: "restart PostgreSQL",
    6_000: "kill PostgreSQL",
    7_500: "kill the service",
    9_000: "terminate the service",
}


class Service:
    """A service in production that is started again whenever it has ended."""

    def __init__(self, project: Project, postgres: Postgres) -> None:
        self.project, self.postgres, self.port = project, postgres, free_port()
        self.environment = {"ENVIRONMENT": "production", "DATABASE_URL": postgres.url}
        project.run("alembic", "upgrade", "head", **self.environment)
        postgres.empty()
        self.start()

    def start(self) -> None:
        self.process = self.project.spawn(
            *("python", "-m", "app.core.serve", "--port", str(self.port)),
            log="durability.txt",
            **self.environment,
        )

    def happen(self, event: str) -> None:
        if event == "kill PostgreSQL":
            self.postgres.kill()
            self.postgres.start()
        elif event == "restart PostgreSQL":
            self.postgres.stop()
            self.postgres.start()
        else:
            self.process.send_signal(
                signal.SIGKILL if event == "kill the service" else signal.SIGTERM
            )
            self.process.wait(timeout=30)
            self.start()


@pytest.mark.promise(1)
def test_no_acknowledged_write_is_lost_and_no_refused_one_stored(
    project: Project,
    postgres: Postgres,
    measure: Measure,
) -> None:
    service = Service(project, postgres)
    outcomes: Counter[object] = Counter()
    acknowledged: set[str] = set()
    refused: set[str] = set()

    async def write_all() -> None:
        numbers = iter(range(10 * WRITES))
        client = httpx2.AsyncClient(
            base_url=f"http://127.0.0.1:{service.port}", timeout=30
        )

        async def write() -> None:
            while len(acknowledged) < WRITES:
                name = f"Item {next(numbers)}"
                try:
                    response = await client.post("/items", json={"name": name})
                except httpx2.TransportError:
                    # The answer is lost, and with it what became of the write.
                    outcomes["no answer"] += 1
                    await asyncio.sleep(0.1)
                    continue
                outcomes[response.status_code] += 1
                if response.status_code == 201:
                    acknowledged.add(name)
                else:
                    refused.add(name)
                    await asyncio.sleep(0.1)

        async def happen() -> None:
            for after, event in EVENTS.items():
                while len(acknowledged) < after:
                    await asyncio.sleep(0.01)
                await asyncio.to_thread(service.happen, event)

        async with client:
            await asyncio.gather(happen(), *(write() for _ in range(CLIENTS)))

    try:
        asyncio.run(write_all())
        stored = set(postgres.query("SELECT name FROM item").splitlines())
    finally:
        service.process.kill()
        service.process.wait()

    measure(
        f"{len(acknowledged)} writes acknowledged while PostgreSQL and the service were "
        f"killed twice each, and restarted: {len(acknowledged - stored)} lost, "
        f"{len(refused & stored)} stored though refused; answers: {dict(outcomes)}."
    )
    assert acknowledged <= stored
    assert set(outcomes) <= {201, 503, "no answer"}
    # A 503 says that the write is not known to have been done: never a lie, but where
    # PostgreSQL dies within a COMMIT nobody can know.
    assert len(refused & stored) <= len(EVENTS) * CLIENTS
