"""Forms that are sent with an Idempotency-Key, in a service that can parse them."""

from collections.abc import AsyncGenerator
from typing import Annotated, Any

import pytest
from app.core.application import set_up
from app.core.http.idempotency import IdempotencyDep, IdempotencyKeyMixin
from fastapi import FastAPI, Form, Request, Response, UploadFile
from httpx2 import AsyncClient
from pydantic import BaseModel
from sqlalchemy.orm import DeclarativeBase

from tests.conftest import client_with_tables

PHOTO = ("a.png", b"x" * 300_000, "image/png")
app = FastAPI()
runs: list[int] = []


class Base(DeclarativeBase):
    """Apart from the service's own tables."""


class Key(IdempotencyKeyMixin, Base):
    __tablename__ = "test_form_key"


class Title(BaseModel):
    title: str


@app.post("/photos")
async def upload(
    photo: UploadFile, title: Annotated[str, Form()], idempotency: IdempotencyDep
) -> Response:
    async def store() -> Response:
        runs.append(len(await photo.read()))
        return Response(f"{title} {runs}", 201)

    return await idempotency.replay_or_run(Key, store)


@app.post("/titles")
async def add(form: Annotated[Title, Form()], idempotency: IdempotencyDep) -> Response:
    async def store() -> Response:
        runs.append(len(form.title))
        return Response(f"{form.title} {runs}", 201)

    return await idempotency.replay_or_run(Key, store)


@app.post("/streams")
async def read_stream(request: Request, idempotency: IdempotencyDep) -> Response:
    async for _ in request.stream():
        pass

    async def store() -> Response:
        runs.append(0)
        return Response("stored")

    return await idempotency.replay_or_run(Key, store)


set_up(app)


@pytest.fixture
async def client() -> AsyncGenerator[AsyncClient]:
    runs.clear()
    async with client_with_tables(app, Base.metadata) as client:
        client.headers["Idempotency-Key"] = "k"
        yield client


async def test_a_form_that_is_repeated_gets_the_same_response(
    client: AsyncClient,
) -> None:
    form: dict[str, Any] = {"data": {"title": "Lamp"}, "files": {"photo": PHOTO}}

    responses = [await client.post("/photos", **form) for _ in range(3)]

    types = {response.request.headers["content-type"] for response in responses}
    assert len(types) == 3  # Each names a boundary of its own.
    assert {(r.status_code, r.text) for r in responses} == {(201, "Lamp [300000]")}


@pytest.mark.parametrize(
    ("title", "photo"),
    [
        ("Chair", PHOTO),
        ("Lamp", ("b.png", *PHOTO[1:])),
        ("Lamp", ("a.png", b"y" * 300_000, "image/png")),
        ("Lamp", (*PHOTO[:2], "image/gif")),
    ],
    ids=["field", "name", "content", "type"],
)
async def test_another_form_with_the_same_key_is_refused(
    client: AsyncClient, title: str, photo: Any
) -> None:
    await client.post("/photos", data={"title": "Lamp"}, files={"photo": PHOTO})

    other = await client.post("/photos", data={"title": title}, files={"photo": photo})

    assert other.status_code == 422
    assert runs == [300_000]


async def test_a_form_without_files_may_be_repeated_too(client: AsyncClient) -> None:
    first, again, other = [
        await client.post("/titles", data={"title": title})
        for title in ("Lamp", "Lamp", "Chair")
    ]

    assert (first.status_code, first.text) == (201, "Lamp [4]")
    assert (again.status_code, again.text) == (201, "Lamp [4]")
    assert other.status_code == 422


@pytest.mark.parametrize(
    "type_", ["application/json", "application/x-www-form-urlencoded"]
)
async def test_a_body_that_can_no_longer_be_compared_is_an_error(
    client: AsyncClient, type_: str
) -> None:
    headers = {"content-type": type_}

    response = await client.post("/streams", content=b"{}", headers=headers)

    assert (response.status_code, runs) == (500, [])
