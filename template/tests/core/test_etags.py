"""Which versions a precondition lets through."""

import pytest
from fastapi import FastAPI

from app.core.application import set_up
from app.core.errors import PreconditionFailedError
from app.core.http.etags import IfMatch, IfNoneMatch, not_modified
from tests.conftest import client_of

NEWEST = 3
app = FastAPI()


@app.put("/")
async def change(expected: IfMatch) -> None:
    if NEWEST not in expected:
        raise PreconditionFailedError("There is a newer version.")


@app.get("/")
async def read(if_none_match: IfNoneMatch = None) -> bool:
    return not_modified(if_none_match, NEWEST)


set_up(app)


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (None, 428),
        ("*", 200),
        ('"3"', 200),
        ('"2" , "3"', 200),
        ('"2"', 412),
        ('W/"3"', 200),
        ('W/"2"', 412),
        ("3", 412),
        ("", 412),
        ('"3', 412),
        ('"ü\x00"', 412),
        ('*, "2"', 412),
        ('"' + "9" * 5000 + '"', 412),
    ],
)
async def test_a_change_needs_the_newest_version(
    header: str | None, status: int
) -> None:
    headers = {} if header is None else {b"if-match": header.encode()}

    async with client_of(app) as client:
        response = await client.put("/", headers=headers)

    assert response.status_code == status
    if status != 200:
        assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("header", "known"),
    [
        (None, False),
        ("*", True),
        ('"3"', True),
        ('W/"3"', True),
        ('"1", W/"3"', True),
        ('"2"', False),
        ("3", False),
        ("W/", False),
    ],
)
async def test_a_read_need_not_repeat_the_newest_version(
    header: str | None, known: bool
) -> None:
    headers = {} if header is None else {"if-none-match": header}

    async with client_of(app) as client:
        response = await client.get("/", headers=headers)

    assert response.json() is known


async def test_tags_on_several_lines_are_one_list() -> None:
    tags = ['"1"', 'W/"2"', '"3"']

    async with client_of(app) as client:
        changed = await client.put("/", headers=[("If-Match", tag) for tag in tags])
        known = await client.get("/", headers=[("If-None-Match", tag) for tag in tags])

    assert changed.status_code == 200
    assert known.json() is True


def test_the_openapi_document_says_that_a_change_needs_it() -> None:
    (parameter,) = app.openapi()["paths"]["/"]["put"]["parameters"]

    assert (parameter["name"], parameter["required"]) == ("If-Match", True)
