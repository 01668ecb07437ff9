"""The jobs of the items."""

import uuid
from collections.abc import Awaitable, Callable

from httpx2 import AsyncClient

from app.core.jobs import Call
from app.items.jobs import add_first_note


async def test_a_new_item_gets_a_first_note(
    client: AsyncClient,
    run_jobs: Callable[[], Awaitable[int]],
    enqueued: Callable[[], Awaitable[list[Call]]],
) -> None:
    created = await client.post("/items", json={"name": "Lamp"})
    path = created.headers["location"]
    assert await enqueued() == [add_first_note.call(uuid.UUID(created.json()["id"]))]

    await run_jobs()

    (note,) = (await client.get(f"{path}/notes")).json()
    assert note["text"] == "Added."


async def test_a_job_that_runs_twice_adds_one_note(client: AsyncClient) -> None:
    created = await client.post("/items", json={"name": "Lamp"})
    stored = {"item_id": created.json()["id"]}

    for attempt in (1, 2):
        await add_first_note.run(1, attempt, stored)

    notes = await client.get(f"{created.headers['location']}/notes")
    assert len(notes.json()) == 1


async def test_an_item_that_is_deleted_meanwhile_gets_no_note(
    client: AsyncClient, run_jobs: Callable[[], Awaitable[int]]
) -> None:
    created = await client.post("/items", json={"name": "Lamp"})
    await client.delete(created.headers["location"], headers={"If-Match": "*"})

    assert await run_jobs() == 1


async def test_a_refused_item_enqueues_nothing(
    client: AsyncClient, enqueued: Callable[[], Awaitable[list[Call]]]
) -> None:
    for _ in range(2):
        response = await client.post("/items", json={"name": "Lamp"})

    assert response.status_code == 409
    assert len(await enqueued()) == 1
