"""Which versions a precondition lets through."""

from collections.abc import AsyncGenerator

import pytest
from fastapi import FastAPI, Response
from fastapi.responses import StreamingResponse

from app.core.application import set_up
from app.core.errors import PreconditionFailedError
from app.core.http.etags import NOT_MODIFIED, IfMatch, IfNoneMatch, not_modified
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


@app.api_route("/report", methods=["GET", "HEAD", "POST"], include_in_schema=False)
async def report(response: Response, tag: str, status: int = 200) -> str:
    response.headers["ETag"] = tag
    response.headers["X-Lamp"] = "on"
    response.status_code = status
    return "A long report."


@app.get("/stream")
async def stream() -> StreamingResponse:
    async def parts() -> AsyncGenerator[str]:
        yield "A long "
        yield "stream."

    return StreamingResponse(parts(), headers={"ETag": '"a"', "Content-Length": "14"})


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


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("header", "tag", "status"),
    [
        ('"a"', '"a"', 304),
        ('W/"a"', '"a"', 304),
        ('"b", "a"', 'W/"a"', 304),
        ("*", '"a"', 304),
        ('"b"', '"a"', 200),
        ("a", '"a"', 200),
        ("", '"a"', 200),
    ],
)
async def test_a_version_that_the_client_has_is_not_sent_again(
    method: str, header: str, tag: str, status: int
) -> None:
    async with client_of(app) as client:
        response = await client.request(
            method,
            "/report",
            params={"tag": tag},
            headers={"If-None-Match": header},
        )

    assert response.status_code == status
    assert (response.headers["etag"], response.headers["x-lamp"]) == (tag, "on")
    assert response.headers["cache-control"] == "private, no-cache"
    if status == 304:
        assert response.content == b""
        assert not {"content-length", "content-type"} & set(response.headers)


@pytest.mark.parametrize(("method", "status"), [("POST", 200), ("GET", 404)])
async def test_only_a_successful_read_is_compared_with_what_the_client_has(
    method: str, status: int
) -> None:
    async with client_of(app) as client:
        response = await client.request(
            method,
            "/report",
            params={"tag": '"a"', "status": status},
            headers={"If-None-Match": '"a"'},
        )

    assert (response.status_code, response.json()) == (status, "A long report.")


async def test_no_part_of_a_stream_that_the_client_has_is_sent() -> None:
    async with client_of(app) as client:
        known = await client.get("/stream", headers={"If-None-Match": '"a"'})
        changed = await client.get("/stream", headers={"If-None-Match": '"b"'})

    assert (known.status_code, known.content) == (304, b"")
    assert (changed.status_code, changed.text) == (200, "A long stream.")


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


def test_the_openapi_document_has_the_header_of_a_read_that_may_be_a_304() -> None:
    documented = FastAPI()
    documented.get("/lamps", responses={304: NOT_MODIFIED})(report)
    documented.get("/", responses={304: NOT_MODIFIED})(read)
    set_up(documented)

    for path in ("/lamps", "/"):
        parameters = documented.openapi()["paths"][path]["get"]["parameters"]
        headers = [each for each in parameters if each["in"] == "header"]
        assert [each["name"] for each in headers] == ["If-None-Match"]
