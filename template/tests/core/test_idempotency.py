"""Requests that are repeated under one Idempotency-Key."""

import asyncio
from collections.abc import AsyncGenerator
from itertools import count
from typing import Annotated

import httpx2
import pytest
from fastapi import FastAPI, Header, Response
from httpx2 import AsyncClient
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from app.core.application import set_up
from app.core.database import engine
from app.core.db.compiled_inserts import CompiledInsert
from app.core.errors import ConflictError
from app.core.http.idempotency import IdempotencyDep, IdempotencyKeyMixin
from tests.conftest import client_with_tables

app = FastAPI()
numbers = count()
started, finish = asyncio.Event(), asyncio.Event()


class Base(DeclarativeBase):
    """Apart from the service's own tables."""


class Key(IdempotencyKeyMixin, Base):
    __tablename__ = "test_key"


class Sale(Base):
    __tablename__ = "test_sale"

    what: Mapped[str] = mapped_column(primary_key=True)


SALE = CompiledInsert(Sale, dict[str, str])


class Order(BaseModel):
    what: str


@app.post("/sales/{what}")
async def sell(
    what: str, idempotency: IdempotencyDep, *, fail: bool = False
) -> Response:
    async def run() -> Response:
        row = await idempotency.writer.add(SALE, Sale(what=what))
        if fail:
            raise ConflictError("Not now.")
        return Response(row["what"], 201)

    return await idempotency.replay_or_run(Key, run)


@app.post("/{path}")
async def order(
    path: str,
    new: Order,
    idempotency: IdempotencyDep,
    x_account: Annotated[str | None, Header()] = None,
) -> Response:
    async def answer() -> Response:
        number = next(numbers)
        if new.what == "slow":
            started.set()
            await finish.wait()
        if new.what == "refused" and number == 0:
            raise ConflictError("Not now.")
        return Response(f"{new.what} {number}", 201, {"Location": f"/{number}"})

    return await idempotency.replay_or_run(Key, answer, owner=x_account)


set_up(app)


@pytest.fixture
async def client() -> AsyncGenerator[AsyncClient]:
    global numbers
    numbers = count()
    async with client_with_tables(app, Base.metadata) as client:
        yield client


async def post(
    client: AsyncClient,
    what: str = "tea",
    path: str = "/a",
    key: str | None = "k",
    account: str | None = None,
) -> httpx2.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    headers |= {} if account is None else {"X-Account": account}
    return await client.post(path, json={"what": what}, headers=headers)


async def test_the_same_request_gets_the_same_answer(client: AsyncClient) -> None:
    first, second = await post(client), await post(client)

    assert (first.status_code, first.text) == (201, "tea 0")
    assert (second.status_code, second.text) == (201, "tea 0")
    assert second.headers["location"] == first.headers["location"] == "/0"


async def test_without_a_key_or_with_another_one_it_is_done_again(
    client: AsyncClient,
) -> None:
    answers = [await post(client, key=key) for key in (None, None, "k", "l")]

    assert [a.text for a in answers] == ["tea 0", "tea 1", "tea 2", "tea 3"]


async def test_another_request_with_the_same_key_is_refused(
    client: AsyncClient,
) -> None:
    await post(client)

    for response in (
        await post(client, "milk"),
        await post(client, path="/b"),
        await post(client, path="/a?express=yes"),
    ):
        assert response.status_code == 422
        (error,) = response.json()["errors"]
        assert error["loc"] == ["header", "Idempotency-Key"]


async def test_each_account_has_keys_of_its_own(client: AsyncClient) -> None:
    accounts = [None, "ann", "bob", "x" * 1000]

    first = [await post(client, account=account) for account in accounts]
    again = [await post(client, account=account) for account in accounts]

    assert [r.text for r in first] == ["tea 0", "tea 1", "tea 2", "tea 3"]
    assert [r.text for r in again] == [r.text for r in first]


async def test_a_key_without_an_account_is_stored_as_it_is(client: AsyncClient) -> None:
    """As releases before 0.12 stored all of them: theirs are still replayed."""
    await post(client)

    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT key FROM test_key")) == "k"


async def test_a_request_that_was_refused_may_be_tried_again(
    client: AsyncClient,
) -> None:
    responses = [await post(client, "refused"), await post(client, "refused")]

    assert [response.status_code for response in responses] == [409, 201]


async def test_a_request_that_is_still_being_done_is_not_done_twice(
    client: AsyncClient,
) -> None:
    started.clear()
    finish.clear()
    first = asyncio.create_task(post(client, "slow"))
    async with asyncio.timeout(10):
        await started.wait()

    at_once = await post(client, "slow")
    finish.set()
    done, afterwards = await first, await post(client, "slow")

    assert at_once.status_code == 409
    assert done.text == afterwards.text == "slow 0"


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "ü", "\x7f"])
async def test_an_invalid_key_is_refused(client: AsyncClient, key: str) -> None:
    headers = {b"idempotency-key": key.encode()}

    response = await client.post("/a", json={"what": "tea"}, headers=headers)

    assert response.status_code == 422
    assert response.json()["errors"][0]["loc"] == ["header", "Idempotency-Key"]


async def test_two_keys_are_refused(client: AsyncClient) -> None:
    headers = [("Idempotency-Key", "k"), ("Idempotency-Key", "l")]

    response = await client.post("/a", json={"what": "tea"}, headers=headers)

    assert response.status_code == 422
    assert response.json()["errors"][0]["loc"] == ["header", "Idempotency-Key"]


async def test_a_key_may_have_255_visible_characters(client: AsyncClient) -> None:
    assert (await post(client, key="~" * 255)).status_code == 201


async def test_with_a_key_a_compiled_insert_is_committed_together_with_it(
    client: AsyncClient,
) -> None:
    key = {"Idempotency-Key": "k"}

    failed = await client.post("/sales/tea?fail=true", headers=key)
    answers = [await client.post("/sales/tea", headers=key) for _ in range(2)]
    without_key = await client.post("/sales/tea")

    assert failed.status_code == 409
    assert [(a.status_code, a.text) for a in answers] == [(201, "tea")] * 2
    assert (without_key.status_code, without_key.json()["fields"]) == (409, ["what"])
