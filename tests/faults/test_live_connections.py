"""Clients that stay connected: event streams and WebSockets, as the how-to shows them."""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Generator

import httpx2
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.harness.pages import HOW_TO, blocks, section
from tests.harness.postgres import Postgres
from tests.harness.project import Project, wait_until
from tests.harness.serving import Service, concurrently, serving
from tests.harness.types import Measure

CONNECTIONS = 5
CLIENTS = 200
EVENTS = """
import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Any

from anyio import WouldBlock, create_memory_object_stream
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from fastapi import Depends, FastAPI
from fastapi.sse import EventSourceResponse, ServerSentEvent
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import SessionDep, engine
from app.core.db.failures import DATABASE_ERRORS
from app.core.health import draining
from app.core.http.routing import FeatureRouter
from app.models import Item
"""
ROUTES_AROUND = """
@router.post("/{name}")
async def change(session: SessionDep, name: str) -> None:
    item = Item(name=name, quantity=0)
    session.add(item)
    await session.flush()
    await announce(session, item)


@router.get("/clients")
async def count_clients() -> int:
    return len(changes._clients)
"""
SOCKETS = """
from fastapi import APIRouter, WebSocket
from sqlalchemy import select

from app.core.database import read_session_factory
from app.models import Item

router = APIRouter()
"""
LISTENING = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE application_name = 'My Service' AND query ~ '^(LISTEN|SELECT 1$)'"
)
TAKEN = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'My Service'"


@pytest.fixture(scope="module")
def extended(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A service with the routes of the how-to."""
    extended = project.copy(tmp_path_factory.mktemp("live") / "project")
    app = extended.path / "app"
    for name, heading, imports, around in (
        ("changes", "Send server-sent events", EVENTS, ROUTES_AROUND),
        ("sockets", "Use a WebSocket", SOCKETS, ""),
    ):
        shown = blocks(section(HOW_TO, heading), "python")
        (app / f"{name}.py").write_text("\n\n".join([imports, *shown, around]))
        with (app / "api.py").open("a") as api:
            api.write(f"router.include_router({name}.router)\n")
    api = app / "api.py"
    api.write_text(f"from app import changes, sockets\n{api.read_text()}")
    extended.run("uv", "add", "--quiet", "websockets")
    extended.run("uv", "sync", "--quiet")
    extended.run("ruff", "format", "--quiet", "app")
    extended.run("ruff", "check", "--fix", "--quiet", "app")
    extended.run("ty", "check", "app")
    return extended


@pytest.fixture(scope="module")
def service(extended: Project, postgres: Postgres) -> Generator[Service]:
    with serving(extended, postgres, DB_POOL_SIZE=str(CONNECTIONS)) as service:
        yield service


@contextlib.asynccontextmanager
async def following(
    client: httpx2.AsyncClient,
) -> AsyncGenerator[AsyncGenerator[str]]:
    """Follow the changes: give the ids that the service sends, until it ends the stream."""

    async def ids(response: httpx2.Response) -> AsyncGenerator[str]:
        async for line in response.aiter_lines():
            if line.startswith("data: "):
                yield json.loads(line.removeprefix("data: "))

    async with client.stream("GET", "/changes") as response:
        assert response.status_code == 200
        yield ids(response)


def follow_all(client: httpx2.Client) -> set[str]:
    """Let all clients follow at once, change something, and return the ids they get."""

    async def follow(many: httpx2.AsyncClient) -> set[str]:
        async with contextlib.AsyncExitStack() as stack:
            streams = [
                await stack.enter_async_context(following(many)) for _ in range(CLIENTS)
            ]
            response = await many.post("/changes/Lamp")
            assert response.status_code == 200
            return set(await asyncio.gather(*map(anext, streams)))

    return concurrently(client, follow)


def test_event_streams_share_a_connection_and_are_forgotten_when_their_clients_leave(
    client: httpx2.Client, postgres: Postgres, measure: Measure
) -> None:
    ids = follow_all(client)
    listening = postgres.query(LISTENING)
    wait_until(lambda: client.get("/changes/clients").json() == 0)

    measure(
        f"{CLIENTS} clients follow an event stream over one connection to PostgreSQL "
        "and leave: all get the change, and none is left behind."
    )
    assert ids == {postgres.query("SELECT id FROM item")}
    assert listening == "1"
    assert int(postgres.query(TAKEN)) <= CONNECTIONS


def test_an_event_stream_that_would_miss_changes_ends_and_can_be_followed_again(
    client: httpx2.Client, postgres: Postgres
) -> None:
    kill = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'My Service'"
    )

    async def follow(many: httpx2.AsyncClient) -> list[str]:
        async with following(many) as stream:
            postgres.query(kill)
            return [item_id async for item_id in stream]

    missed = concurrently(client, follow)
    wait_until(lambda: postgres.query(LISTENING) == "1")
    ids = follow_all(client)

    assert missed == []
    assert ids == {postgres.query("SELECT id FROM item")}


def test_a_service_that_shuts_down_ends_streams_and_sockets(
    extended: Project, postgres: Postgres
) -> None:
    """With all the time there is: only an end by itself lets the service exit."""
    with serving(extended, postgres, SHUTDOWN_SECONDS="600") as service:

        async def follow(
            many: httpx2.AsyncClient,
        ) -> tuple[list[str], int | None, int]:
            async with following(many) as stream, socket_to(service.client) as socket:
                ending = asyncio.create_task(asyncio.to_thread(service.terminate))
                missed = [item_id async for item_id in stream]
                with contextlib.suppress(ConnectionClosed):
                    await socket.recv()
                return missed, socket.close_code, await ending

        missed, code, status = concurrently(service.client, follow)

    assert missed == []
    assert code == 1012
    assert status == 0


def socket_to(client: httpx2.Client, path: str = "/stock") -> connect:
    return connect(f"ws://127.0.0.1:{client.base_url.port}{path}")


async def ask(socket: ClientConnection, name: str) -> object:
    await socket.send(name)
    return json.loads(await socket.recv())["quantity"]


def test_web_sockets_hold_no_connection_between_their_messages(
    client: httpx2.Client, postgres: Postgres, measure: Measure
) -> None:
    client.post("/items", json={"name": "Lamp", "quantity": 3})

    async def talk() -> list[object]:
        async with contextlib.AsyncExitStack() as stack:
            sockets = [
                await stack.enter_async_context(socket_to(client))
                for _ in range(CLIENTS)
            ]
            answers: list[object] = []
            for _ in range(2):
                answers += await asyncio.gather(
                    *(ask(socket, "Lamp") for socket in sockets)
                )
            return answers

    answers = asyncio.run(talk())

    measure(
        f"{CLIENTS} WebSockets ask twice each, on {CONNECTIONS} connections: "
        "all are answered."
    )
    assert answers == [3] * 2 * CLIENTS
    wait_until(lambda: client.get("/readyz").status_code == 200)


def test_a_web_socket_that_fails_is_closed_with_the_id_of_its_log_line(
    extended: Project, client: httpx2.Client
) -> None:
    async def fail() -> tuple[int | None, str | None]:
        async with socket_to(client) as socket:
            with pytest.raises(ConnectionClosed):
                await ask(socket, "No text of PostgreSQL: \0")
            return socket.close_code, socket.close_reason

    async def knock() -> int:
        with pytest.raises(InvalidStatus) as refused:
            async with socket_to(client, "/nowhere"):
                pass
        return refused.value.response.status_code

    code, reason = asyncio.run(fail())
    status = asyncio.run(knock())

    log = [
        json.loads(line)
        for line in (extended.path / "output.txt").read_text().splitlines()
        if line.startswith("{")
    ]
    assert code == 1011
    assert reason is not None
    request_id = reason.removesuffix(".").rpartition(" ")[2]
    events = [
        (line["event"], line.get("status"), line.get("code"))
        for line in log
        if line.get("request_id") == request_id and line["logger"].startswith("app.")
    ]
    assert events == [("unhandled error", None, None), ("websocket", 101, 1011)]
    assert status == 403
