"""The items, through HTTP."""

import asyncio
from typing import Any

import pytest
from httpx2 import AsyncClient, Response

ANY = {"If-Match": "*"}
UNKNOWN = "/items/01900000-0000-7000-8000-000000000000"


async def create(client: AsyncClient, name: str, **fields: object) -> dict[str, Any]:
    response = await client.post("/items", json={"name": name, **fields})
    assert response.status_code == 201, response.text
    return response.json()


async def test_a_created_item_can_be_read(client: AsyncClient) -> None:
    body = {"name": "Lamp", "description": "Green", "quantity": 3}

    created = await client.post("/items", json=body)
    read = await client.get(created.headers["location"])

    assert created.status_code == 201
    assert read.status_code == 200
    assert read.json() == created.json()
    assert read.headers["etag"] == created.headers["etag"] == '"1"'
    assert created.json() == {
        "id": created.json()["id"],
        "name": "Lamp",
        "description": "Green",
        "quantity": 3,
        "version": 1,
        "created_at": created.json()["created_at"],
        "updated_at": created.json()["created_at"],
    }


async def test_a_change_leaves_the_other_fields_alone(client: AsyncClient) -> None:
    created = await create(client, "Lamp", description="Green", quantity=3)
    path = f"/items/{created['id']}"

    response = await client.patch(path, json={"quantity": 2}, headers=ANY)

    assert response.status_code == 200
    assert response.json() == {**created, "quantity": 2, "version": 2}


async def test_null_clears_an_optional_field(client: AsyncClient) -> None:
    created = await create(client, "Lamp", description="Green")
    path = f"/items/{created['id']}"

    removed = await client.patch(path, json={"description": None}, headers=ANY)
    refused = await client.patch(path, json={"name": None}, headers=ANY)

    assert removed.json() == {**created, "description": None, "version": 2}
    assert refused.status_code == 422


async def test_a_change_is_dated(committing_client: AsyncClient) -> None:
    created = await create(committing_client, "Lamp")

    changed = await committing_client.patch(
        f"/items/{created['id']}", json={"quantity": 1}, headers=ANY
    )

    assert changed.json()["updated_at"] > created["updated_at"]
    assert changed.json()["created_at"] == created["created_at"]


async def test_only_the_newest_version_can_be_changed_or_deleted(
    client: AsyncClient,
) -> None:
    path = f"/items/{(await create(client, 'Lamp'))['id']}"
    first = {"If-Match": '"1"'}

    changed = await client.patch(path, json={"quantity": 2}, headers=first)
    stale = [
        await client.patch(path, json={"quantity": 3}, headers=first),
        await client.delete(path, headers=first),
    ]
    blind = [await client.patch(path, json={"quantity": 3}), await client.delete(path)]

    assert changed.headers["etag"] == '"2"'
    assert [response.status_code for response in stale] == [412, 412]
    assert [response.status_code for response in blind] == [428, 428]
    assert (await client.get(path)).json() == changed.json()


async def test_only_one_of_several_concurrent_changes_to_a_version_succeeds(
    committing_client: AsyncClient,
) -> None:
    path = f"/items/{(await create(committing_client, 'Lamp'))['id']}"

    responses = await asyncio.gather(
        *(
            committing_client.patch(
                path, json={"quantity": quantity}, headers={"If-Match": '"1"'}
            )
            for quantity in range(1, 6)
        )
    )

    assert sorted(response.status_code for response in responses) == [200] + [412] * 4


async def test_a_version_that_the_client_has_is_not_sent_again(
    client: AsyncClient,
) -> None:
    path = f"/items/{(await create(client, 'Lamp'))['id']}"

    known = await client.get(path, headers={"If-None-Match": '"1"'})
    changed = await client.get(path, headers={"If-None-Match": '"0"'})

    assert (known.status_code, known.content) == (304, b"")
    assert known.headers["etag"] == '"1"'
    assert changed.status_code == 200


async def test_deleting_an_item_deletes_its_notes(client: AsyncClient) -> None:
    path = f"/items/{(await create(client, 'Lamp'))['id']}"
    await client.post(f"{path}/notes", json={"text": "Needs a new bulb."})

    assert (await client.delete(path, headers=ANY)).status_code == 204
    assert (await client.get(path)).status_code == 404
    assert (await client.get(f"{path}/notes")).status_code == 404
    assert (await client.delete(path, headers=ANY)).status_code == 404


@pytest.mark.parametrize(
    ("sort", "names"),
    [
        (None, "abcd"),
        ("created_at", "abcd"),
        ("-created_at", "dcba"),
        ("quantity", "bdac"),
        ("-quantity", "cadb"),
    ],
)
async def test_items_are_listed_page_by_page_in_the_requested_order(
    client: AsyncClient, sort: str | None, names: str
) -> None:
    for name, quantity in zip("abcd", [2, 1, 3, 1], strict=True):
        await create(client, name, quantity=quantity)
    params: dict[str, Any] = {"limit": 2, **({"sort": sort} if sort else {})}

    first = (await client.get("/items", params=params)).json()
    params["cursor"] = first["next"]
    second = (await client.get("/items", params=params)).json()

    assert [i["name"] for i in first["items"] + second["items"]] == list(names)
    assert second["next"] is None


async def test_an_item_is_found_by_its_name(client: AsyncClient) -> None:
    lamp = await create(client, "Lamp")
    await create(client, "Chair")

    response = await client.get("/items", params={"name": "Lamp"})

    assert response.json() == {"items": [lamp], "next": None}


@pytest.mark.parametrize("query", ["sort=name", "nmae=Lamp", "limit=0", "cursor=x"])
async def test_a_list_that_cannot_be_had_is_refused(
    client: AsyncClient, query: str
) -> None:
    response = await client.get(f"/items?{query}")

    assert response.status_code == 422
    assert response.json()["errors"][0]["loc"] == ["query", query.split("=")[0]]


async def test_the_notes_of_an_item_are_listed_oldest_first(
    client: AsyncClient,
) -> None:
    path = f"/items/{(await create(client, 'Lamp'))['id']}/notes"

    created = [
        (await client.post(path, json={"text": text})).json() for text in ("a", "b")
    ]

    assert (await client.get(path)).json() == created
    assert [note["text"] for note in created] == ["a", "b"]


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


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", UNKNOWN, None),
        ("PATCH", UNKNOWN, {}),
        ("DELETE", UNKNOWN, None),
        ("GET", f"{UNKNOWN}/notes", None),
        ("POST", f"{UNKNOWN}/notes", {"text": "Lost."}),
    ],
)
async def test_an_unknown_item_is_not_found(
    client: AsyncClient, method: str, path: str, body: object
) -> None:
    response = await client.request(method, path, json=body, headers=ANY)

    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["detail"] == f"There is no item {UNKNOWN[-36:]}."


async def test_only_one_of_two_items_created_concurrently_with_one_name_is_accepted(
    committing_client: AsyncClient,
) -> None:
    responses = await asyncio.gather(
        *(committing_client.post("/items", json={"name": "Lamp"}) for _ in range(5))
    )

    assert sorted(response.status_code for response in responses) == [201] + [409] * 4
    assert len((await committing_client.get("/items")).json()["items"]) == 1


async def test_repeating_a_request_with_an_idempotency_key_creates_one_item(
    committing_client: AsyncClient,
) -> None:
    async def ask() -> Response:
        headers = {"Idempotency-Key": "8e03978e-40d5-43e8-bc93-6894a57f9324"}
        body = {"name": "Lamp"}
        return await committing_client.post("/items", json=body, headers=headers)

    at_once = await asyncio.gather(*(ask() for _ in range(5)))
    again = await ask()

    assert {response.status_code for response in at_once} <= {201, 409}
    assert again.status_code == 201
    for response in at_once:
        if response.status_code == 201:
            assert response.content == again.content
            assert response.headers["location"] == again.headers["location"]
    assert len((await committing_client.get("/items")).json()["items"]) == 1
