"""What a client is told when a request cannot be done."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Body, FastAPI, Header, HTTPException, Request, Response
from httpx2 import AsyncClient
from pydantic import BaseModel
from sqlalchemy.orm.exc import StaleDataError
from starlette.responses import PlainTextResponse
from starlette.routing import Route, Router

from app.core import health
from app.core.application import set_up
from app.core.config import settings
from app.core.errors import ConflictError, NotFoundError
from app.core.http import boundary
from tests.conftest import client_of

app = FastAPI()
calls: list[str] = []


INVALID = {"name": "Ann", "password": "s3cret"}


class Login(BaseModel):
    name: str
    password: int


@app.get("/missing")
async def missing() -> None:
    raise NotFoundError("There is no request 7.")


@app.get("/conflicting")
async def conflicting() -> None:
    raise ConflictError("Request 7 is closed.")


@app.get("/stale")
async def stale() -> None:
    raise StaleDataError("1 row expected, 0 matched")


@app.get("/mistaken")
async def mistaken() -> None:
    raise ValueError("s3cret")


@app.get("/invalid-row")
async def invalid_row() -> Login:
    return Login.model_validate(INVALID)


@app.get("/invalid-response", response_model=Login)
async def invalid_response() -> dict[str, str]:
    return INVALID


@app.get("/validated")
async def validated(response: Response) -> None:
    response.headers["ETag"] = '"1"'


@app.get("/kept")
async def kept(response: Response) -> None:
    response.headers["Cache-Control"] = "max-age=60"


@app.get("/unreachable/{kind}")
async def unreachable(kind: str) -> None:
    calls.append(kind)
    raise {"timeout": TimeoutError, "refused": ConnectionRefusedError}[kind]("s3cret")


@app.get("/own-status")
async def own_status() -> None:
    raise HTTPException(499, "The client has gone.")


@app.get("/own-text")
async def own_text() -> PlainTextResponse:
    return PlainTextResponse("The client has gone.", 499)


slow = APIRouter()


@slow.get("/stubborn")
async def stubborn() -> str:
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        return "late"
    return "never"


@slow.get("/fails")
async def fails() -> None:
    raise ValueError


@slow.post("/swallows")
async def swallows(request: Request) -> int:
    return len(await request.body())


@slow.get("/endless")
async def endless() -> None:
    await asyncio.sleep(60)


@app.post("/login")
async def login(body: Login, x_token: Annotated[int, Header()] = 0) -> None: ...


@app.post("/rename")
async def rename(
    name: Annotated[str, Body()], password: Annotated[int, Body()]
) -> None: ...


@app.post("/note")
async def note(text: Annotated[str, Body()], line: int = 0) -> None: ...


@app.get("/refused")
async def refused() -> None:
    raise HTTPException(422, "The period ends before it starts.")


@app.delete("/deleted", status_code=204)
async def delete() -> None: ...


app.include_router(slow)
app.mount("/mounted", Router([Route("/it", endless)]))
set_up(app)


@pytest.fixture
async def client() -> AsyncGenerator[AsyncClient]:
    async with client_of(app) as client:
        yield client


@pytest.mark.parametrize(
    ("method", "path", "status", "title", "detail"),
    [
        ("GET", "/missing", 404, "Not Found", "There is no request 7."),
        ("GET", "/conflicting", 409, "Conflict", "Request 7 is closed."),
        (
            *("GET", "/stale", 412, "Precondition Failed"),
            "The resource was changed concurrently. Fetch it again.",
        ),
        ("GET", "/nowhere", 404, "Not Found", "Not Found"),
        ("DELETE", "/missing", 405, "Method Not Allowed", "Method Not Allowed"),
    ],
)
async def test_an_error_is_a_problem_document_with_the_request_s_id(
    client: AsyncClient, method: str, path: str, status: int, title: str, detail: str
) -> None:
    response = await client.request(method, path, headers={"x-request-id": "abc-1"})

    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["x-request-id"] == "abc-1"
    assert response.json() == {
        "title": title,
        "status": status,
        "detail": detail,
        "request_id": "abc-1",
    }


async def test_a_422_always_has_a_list_of_errors(client: AsyncClient) -> None:
    response = await client.get("/refused")

    assert response.json()["errors"] == []


async def test_a_response_without_a_body_announces_none(client: AsyncClient) -> None:
    response = await client.delete("/deleted")

    assert (response.status_code, response.content) == (204, b"")
    assert "content-type" not in response.headers


async def test_a_mounted_app_sets_its_own_allow_header(client: AsyncClient) -> None:
    response = await client.post("/mounted/it")

    assert response.status_code == 405
    assert set(response.headers["allow"].split(", ")) == {"GET", "HEAD"}


async def test_a_mistake_of_the_service_says_nothing_of_itself(
    client: AsyncClient,
) -> None:
    response = await client.get("/mistaken")

    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["request_id"] == response.headers["x-request-id"]
    assert "s3cret" not in response.text


@pytest.mark.parametrize("kind", ["timeout", "refused"])
async def test_another_server_that_cannot_be_reached_is_not_the_database(
    client: AsyncClient, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    calls.clear()

    response = await client.get(f"/unreachable/{kind}")

    assert response.status_code == 500
    assert calls == [kind]
    (record,) = (r for r in caplog.records if r.msg == "unhandled error")
    assert record.exc_info


@pytest.mark.parametrize("path", ["/invalid-row", "/invalid-response"])
async def test_a_value_that_fails_validation_is_not_logged(
    client: AsyncClient, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    response = await client.get(path)

    assert response.status_code == 500
    assert "password: Input should be a valid integer" in caplog.text
    assert "s3cret" not in caplog.text


@pytest.mark.parametrize("path", ["/own-status", "/own-text"])
async def test_a_nonstandard_status_becomes_a_problem_document_too(
    client: AsyncClient, path: str
) -> None:
    response = await client.get(path)

    assert response.status_code == response.json()["status"] == 499
    assert response.json()["title"] == "Error"


async def test_a_bad_request_is_told_where_it_is_wrong_but_not_shown_its_values(
    client: AsyncClient,
) -> None:
    response = await client.post(
        "/login", json={"password": "s3cret"}, headers={"x-token": "t0ken"}
    )

    assert response.status_code == 422
    assert sorted(error["loc"] for error in response.json()["errors"]) == [
        ["body", "name"],
        ["body", "password"],
        ["header", "x-token"],
    ]
    assert "s3cret" not in response.text
    assert "t0ken" not in response.text


@pytest.mark.parametrize("headers", [{}, {"content-type": "text/plain"}])
@pytest.mark.parametrize("path", ["/login", "/rename"])
async def test_json_that_is_sent_as_something_else_is_told_of_the_header(
    client: AsyncClient, path: str, headers: dict[str, str]
) -> None:
    response = await client.post(
        path, content=b'{"name": "Ann", "password": 1}', headers=headers
    )

    assert response.status_code == 415
    assert "Content-Type: application/json" in response.json()["detail"]


async def test_a_text_that_a_route_expects_is_not_told_of_json(
    client: AsyncClient,
) -> None:
    headers = {"content-type": "text/plain"}

    accepted = await client.post("/note", content="Hello", headers=headers)
    refused = await client.post("/note?line=x", content="Hello", headers=headers)

    assert accepted.status_code == 200
    assert refused.json()["errors"][0]["loc"] == ["query", "line"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[" * 100_000,
        b'{"name": "\xff"}',
        b'{"name": "\\ud800", "password": NaN}',
        b'{"name": "x", "password": 1e999}',
        b'{"' + b"x" * 10_000 + b'": 1}',
    ],
)
async def test_a_body_that_cannot_be_read_is_a_bad_request(
    client: AsyncClient, body: bytes
) -> None:
    headers = {"content-type": "application/json"}

    response = await client.post("/login", content=body, headers=headers)

    assert response.status_code in {400, 422}
    assert response.headers["content-type"] == "application/problem+json"
    assert len(response.content) < 4096


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_a_body_that_is_too_large_is_refused_with_the_limit(
    client: AsyncClient, is_chunked: bool
) -> None:
    async def chunks() -> AsyncGenerator[bytes]:
        for _ in range(settings.MAX_BODY_BYTES // 1000 + 1):
            yield b"x" * 1000

    content = chunks() if is_chunked else b"x" * (settings.MAX_BODY_BYTES + 1)

    response = await client.post("/login", content=content)

    assert response.status_code == 413
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["connection"] == "close"
    assert response.json()["detail"] == "The body is larger than 1000000 bytes."
    assert response.json()["request_id"] == response.headers["x-request-id"]


def application_of(router: APIRouter) -> FastAPI:
    """Return an application with the settings of this moment."""
    app = FastAPI()
    app.include_router(router)
    set_up(app)
    return app


@pytest.fixture
async def hasty(monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[AsyncClient]:
    """A client of an application that gives its requests a twentieth of a second."""
    monkeypatch.setattr(settings, "REQUEST_TIMEOUT", 0.05)
    async with client_of(application_of(slow)) as client:
        yield client


@pytest.mark.parametrize("watch_after", [0.02, 1])
async def test_a_request_that_takes_too_long_is_ended(
    hasty: AsyncClient, monkeypatch: pytest.MonkeyPatch, watch_after: float
) -> None:
    monkeypatch.setattr(boundary, "WATCH_AFTER_SECONDS", watch_after)

    response = await hasty.get("/endless")

    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"


async def test_a_route_may_respond_after_its_deadline(hasty: AsyncClient) -> None:
    response = await hasty.get("/stubborn")

    assert (response.status_code, response.json()) == (200, "late")


@pytest.mark.parametrize(
    ("request_line", "options", "status"),
    [
        ("GET /livez", {}, 200),
        ("GET /nowhere", {}, 404),
        ("GET /endless", {}, 503),
        ("GET /fails", {}, 500),
        ("POST /swallows", {"content": b"x" * 1_000_001}, 413),
        ("GET /livez", {"headers": {"host": "evil.example.com"}}, 400),
    ],
)
async def test_a_browser_may_read_every_response(
    monkeypatch: pytest.MonkeyPatch,
    request_line: str,
    options: dict[str, Any],
    status: int,
) -> None:
    origin = "https://app.example.com"
    monkeypatch.setattr(settings, "CORS_ORIGINS", [origin])
    monkeypatch.setattr(settings, "ALLOWED_HOSTS", ["test"])
    if request_line == "GET /endless":
        monkeypatch.setattr(settings, "REQUEST_TIMEOUT", 0.05)
    headers = {"origin": origin, **options.pop("headers", {})}

    async with client_of(application_of(slow)) as client:
        response = await client.request(
            *request_line.split(), headers=headers, **options
        )
        foreign = await client.get("/fails", headers={"origin": "https://evil.example"})

    assert response.status_code == status
    assert response.headers["access-control-allow-origin"] == origin
    assert "X-Request-ID" in response.headers["access-control-expose-headers"]
    assert "access-control-allow-origin" not in foreign.headers


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("/missing", "no-store"),
        ("/mistaken", "no-store"),
        ("/validated", "private, no-cache"),
        ("/kept", "max-age=60"),
    ],
)
async def test_a_response_is_kept_only_if_it_says_so_or_can_be_validated(
    client: AsyncClient, path: str, kept: str
) -> None:
    response = await client.get(path)

    assert response.headers.get_list("cache-control") == [kept]
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["x-frame-options"] == "DENY"
    assert response.headers["content-security-policy"] == "frame-ancestors 'none'"


async def test_a_service_that_stops_tells_its_clients_to_leave(
    client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await client.get("/livez")
    monkeypatch.setattr(health.draining, "is_set", lambda: True)
    while_draining = [await client.get(path) for path in ("/livez", "/mistaken")]

    assert "connection" not in before.headers
    assert [r.headers["connection"] for r in while_draining] == ["close", "close"]


@pytest.mark.parametrize("request_id", ["", "x" * 65, "a b", 'a"b', "ä", "a,b"])
async def test_a_request_id_that_could_confuse_a_log_is_replaced(
    client: AsyncClient, request_id: str
) -> None:
    headers = {b"x-request-id": request_id.encode()}

    response = await client.get("/missing", headers=headers)

    assert response.headers["x-request-id"] not in {request_id, ""}
