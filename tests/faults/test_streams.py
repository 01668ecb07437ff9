"""Work that outlives the route: streams and background tasks, as the how-to shows them."""

import asyncio
import contextlib
from collections.abc import Generator

import httpx2
import pytest

from tests.harness.pages import HOW_TO, blocks, section
from tests.harness.postgres import Postgres
from tests.harness.project import Project, wait_until
from tests.harness.serving import Service, concurrently, serving
from tests.harness.types import Measure

CONNECTIONS = 5
CLIENTS = 200
IMPORTS = """
from collections.abc import AsyncGenerator
from http import HTTPStatus

from fastapi import APIRouter, BackgroundTasks
from sqlalchemy import select
from starlette.responses import StreamingResponse

from app.core.database import async_session_factory
from app.models import Item

router = APIRouter(prefix="/work")
"""
JSON_LINES = """
@router.get("/lines")
async def export_lines() -> AsyncGenerator[str]:
    async for name in names():
        yield name.rstrip()
"""
BUSY = (
    "SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    " AND application_name = 'My Service' AND state <> 'idle'"
)


@pytest.fixture(scope="module")
def service(
    project: Project, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Service]:
    """A service with the routes of the how-to, and few connections to lose."""
    path = tmp_path_factory.mktemp("streams") / "project"
    extended = project.copy_with_environment(path)
    page = section(HOW_TO, "Stream rows and run background tasks")
    feature = path / "app" / "work.py"
    feature.write_text("\n\n".join([IMPORTS, *blocks(page, "python"), JSON_LINES]))
    extended.run("ruff", "format", "--quiet", "app")
    extended.run("ruff", "check", "--fix", "--quiet", "app")
    extended.run("ty", "check", "app")
    api = path / "app" / "api.py"
    api.write_text(
        f"from app import work\n{api.read_text()}router.include_router(work.router)\n"
    )
    with serving(extended, postgres, DB_POOL_SIZE=str(CONNECTIONS)) as service:
        yield service


@pytest.fixture
def many(client: httpx2.Client, postgres: Postgres) -> None:
    postgres.query(
        "INSERT INTO item (id, name, quantity, version) SELECT gen_random_uuid(),"
        " repeat('x', 80) || n, 0, 1 FROM generate_series(1, 50000) AS n"
    )


def still_serves(client: httpx2.Client, postgres: Postgres) -> None:
    """Fail if a connection is lost to the pool, or works for nobody."""
    wait_until(lambda: postgres.query(BUSY) == "0")

    async def ask(many: httpx2.AsyncClient) -> list[int]:
        responses = await asyncio.gather(
            *(many.get("/readyz") for _ in range(4 * CONNECTIONS))
        )
        return [response.status_code for response in responses]

    assert concurrently(client, ask) == [200] * 4 * CONNECTIONS


@pytest.mark.promise(16)
@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("path", ["/work/names", "/work/lines"])
def test_clients_that_leave_a_stream_take_no_connection_with_them(
    client: httpx2.Client, postgres: Postgres, measure: Measure, path: str
) -> None:
    async def leave(many: httpx2.AsyncClient) -> None:
        for _ in range(4 * CONNECTIONS):
            async with many.stream("GET", path) as response:
                await anext(response.aiter_bytes())

    concurrently(client, leave)
    still_serves(client, postgres)
    whole = client.get(path)

    measure(
        f"{4 * CONNECTIONS} clients leave the stream of 50,000 rows at {path}: all "
        f"{CONNECTIONS} connections serve again."
    )
    assert whole.text.count("\n") == 50_000


@pytest.mark.parametrize("path", ["/work/names", "/work/lines"])
def test_more_streams_than_connections_take_turns(
    client: httpx2.Client, postgres: Postgres, measure: Measure, path: str
) -> None:
    client.post("/items", json={"name": "Lamp"})

    async def read_all(many: httpx2.AsyncClient) -> set[tuple[int, str]]:
        responses = await asyncio.gather(*(many.get(path) for _ in range(CLIENTS)))
        return {(response.status_code, response.text) for response in responses}

    streams = concurrently(client, read_all)

    measure(
        f"{CLIENTS} streams at once at {path}, on {CONNECTIONS} connections: all whole."
    )
    assert len(streams) == 1
    ((status, text),) = streams
    assert (status, text.strip().strip('"')) == (200, "Lamp")
    still_serves(client, postgres)


@pytest.mark.promise(10)
@pytest.mark.usefixtures("many")
def test_a_stream_that_loses_its_connection_does_not_end_as_if_it_were_whole(
    client: httpx2.Client, postgres: Postgres
) -> None:
    kill = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'My Service' AND state <> 'idle'"
    )
    with client.stream("GET", "/work/names") as response:
        parts = response.iter_bytes()
        next(parts)
        postgres.query(kill)
        with pytest.raises(httpx2.RemoteProtocolError):
            list(parts)

    still_serves(client, postgres)


@pytest.mark.promise(1)
def test_a_background_task_writes_whole_or_not_at_all(
    client: httpx2.Client, postgres: Postgres
) -> None:
    client.post("/items", json={"name": "Lamp"})
    quantity = "SELECT quantity FROM item WHERE name = 'Lamp'"

    done = client.post("/work/Lamp/restock")
    wait_until(lambda: postgres.query(quantity) == "100")
    postgres.query("ALTER TABLE item ADD CONSTRAINT few CHECK (quantity < 150)")
    try:
        accepted = client.post("/work/Lamp/restock")
        still_serves(client, postgres)
    finally:
        postgres.query("ALTER TABLE item DROP CONSTRAINT few")

    assert (done.status_code, accepted.status_code) == (202, 202)
    assert postgres.query(quantity) == "100"


@pytest.mark.promise(1)
def test_a_write_is_rolled_back_when_its_client_disconnects(
    client: httpx2.Client, postgres: Postgres
) -> None:
    postgres.query(
        "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_sleep(4); RETURN NEW; END $$;"
        " CREATE TRIGGER dawdle AFTER INSERT ON item"
        " FOR EACH ROW EXECUTE FUNCTION dawdle()"
    )
    try:
        with contextlib.suppress(httpx2.ReadTimeout):
            client.post("/items", json={"name": "Lamp"}, timeout=0.5)
        still_serves(client, postgres)
    finally:
        postgres.query("DROP FUNCTION dawdle CASCADE")

    assert postgres.query("SELECT count(*) FROM item") == "0"
