"""The items, through HTTP."""

import asyncio
from typing import Any

import pytest
from httpx2 import AsyncClient

UNKNOWN = "/items/01900000-0000-7000-8000-000000000000"


async def create(client: AsyncClient, name: str, **fields: object) -> dict[str, Any]:
    response = await client.post("/items", json={"name": name, **fields})
    assert response.status_code == 201, response.text
    return response.json()


async def test_a_created_item_can_be_read(client: AsyncClient) -> None:
    created = await create(client, "Lamp", description="Green", quantity=3)

    response = await client.get(f"/items/{created['id']}")

    assert response.status_code == 200
    assert response.json() == created
    assert created == {
        "id": created["id"],
        "name": "Lamp",
        "description": "Green",
        "quantity": 3,
        "created_at": created["created_at"],
        "updated_at": created["created_at"],
    }


async def test_a_change_leaves_the_other_fields_alone(client: AsyncClient) -> None:
    created = await create(client, "Lamp", description="Green", quantity=3)

    response = await client.patch(f"/items/{created['id']}", json={"quantity": 2})

    assert response.status_code == 200
    assert response.json() == {**created, "quantity": 2}


async def test_null_removes_what_may_be_absent(client: AsyncClient) -> None:
    created = await create(client, "Lamp", description="Green")
    path = f"/items/{created['id']}"

    removed = await client.patch(path, json={"description": None})
    refused = await client.patch(path, json={"name": None})

    assert removed.json() == {**created, "description": None}
    assert refused.status_code == 422


async def test_a_change_is_dated(committing_client: AsyncClient) -> None:
    created = await create(committing_client, "Lamp")

    changed = await committing_client.patch(
        f"/items/{created['id']}", json={"quantity": 1}
    )

    assert changed.json()["updated_at"] > created["updated_at"]
    assert changed.json()["created_at"] == created["created_at"]


async def test_a_deleted_item_is_gone(client: AsyncClient) -> None:
    path = f"/items/{(await create(client, 'Lamp'))['id']}"

    assert (await client.delete(path)).status_code == 204
    assert (await client.get(path)).status_code == 404
    assert (await client.delete(path)).status_code == 404


async def test_items_are_listed_in_pages_oldest_first(client: AsyncClient) -> None:
    items = [await create(client, f"Item {number}") for number in range(3)]

    first = (await client.get("/items", params={"limit": 2})).json()
    second = (await client.get("/items", params={"after": first[-1]["id"]})).json()

    assert first + second == items


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": " "},
        {"name": "x" * 101},
        {"name": "Lamp", "quantity": -1},
        {"name": "Lamp", "quantity": 2**31},
        {"name": "Lamp", "colour": "green"},
    ],
)
async def test_a_bad_item_is_refused(client: AsyncClient, body: dict[str, Any]) -> None:
    assert (await client.post("/items", json=body)).status_code == 422


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
async def test_an_unknown_item_is_not_found(client: AsyncClient, method: str) -> None:
    body = {} if method == "PATCH" else None

    response = await client.request(method, UNKNOWN, json=body)

    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["detail"] == f"There is no item {UNKNOWN[7:]}."


async def test_of_two_items_of_one_name_created_at_once_one_is_refused(
    committing_client: AsyncClient,
) -> None:
    responses = await asyncio.gather(
        *(committing_client.post("/items", json={"name": "Lamp"}) for _ in range(5))
    )

    assert sorted(response.status_code for response in responses) == [201] + [409] * 4
    assert len((await committing_client.get("/items")).json()) == 1
