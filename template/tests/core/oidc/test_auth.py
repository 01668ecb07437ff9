"""Who may use a route, and what everybody else is told."""

import logging
from collections.abc import AsyncGenerator
from types import SimpleNamespace
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, FastAPI, Response, Security, WebSocket
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader
from httpx2 import AsyncClient
from pydantic import BaseModel
from sqlalchemy import event, text
from sqlalchemy.orm import DeclarativeBase
from starlette.types import ASGIApp, Receive, Scope, Send

from app.core import auth
from app.core.application import set_up
from app.core.auth import Principal, PrincipalDep, ProtectedRouter, requires
from app.core.database import SessionDep, engine
from app.core.http.idempotency import IdempotencyDep, IdempotencyKeyMixin
from app.core.http.routing import FeatureRouter
from app.core.oidc.signing_keys import KeysUnavailableError
from tests.conftest import client_of
from tests.identities import ISSUER, bearer
from tests.open_routes import open_routes

WriterDep = Annotated[Principal, requires("lamps:write")]
KEY = APIKeyHeader(name="X-Key")


class Base(DeclarativeBase):
    """Apart from the service's own tables."""


class Key(IdempotencyKeyMixin, Base):
    __tablename__ = "test_key_of_owner"


class Lamp(BaseModel):
    name: str


class Sender(BaseModel):
    subject: str
    client: str | None
    permissions: list[str]


lamps = ProtectedRouter(prefix="/lamps", tags=["lamps"], requires="lamps:read")


@lamps.get("")
async def list_lamps(principal: PrincipalDep) -> Sender:
    return Sender(
        subject=principal.subject,
        client=principal.client,
        permissions=sorted(principal.permissions),
    )


@lamps.post("")
async def create_lamp(
    writer: WriterDep, session: SessionDep, idempotency: IdempotencyDep, new: Lamp
) -> Response:
    async def create() -> Response:
        await session.execute(text("SELECT 1"))
        return Response(new.name, 201)

    return await idempotency.replay_or_run(Key, create, owner=writer.subject)


@lamps.delete("", dependencies=[requires("lamps:write", "lamps:delete")])
async def delete_lamps() -> None: ...


@lamps.get("/price", openapi_extra={"security": []})
async def get_price() -> int:
    return 7


@lamps.websocket("/watch")
async def watch_lamps(socket: WebSocket) -> None:
    await socket.accept()


bulbs = ProtectedRouter(prefix="/bulbs")


@bulbs.get("")
async def list_bulbs() -> int:
    return 1


@bulbs.post("")
async def create_bulb(_: Lamp) -> None: ...


@bulbs.websocket("/watch")
async def watch_bulbs(socket: WebSocket) -> None:
    await socket.accept()


lamps.include_router(bulbs)
chairs = FeatureRouter(prefix="/chairs")


@chairs.get("/{chair_id}")
async def get_chair(chair_id: str) -> str:
    return chair_id


@chairs.get("", dependencies=[requires("chairs:read")])
async def list_chairs() -> int:
    return 1


@chairs.websocket("/watch")
async def watch_chairs(socket: WebSocket) -> None:
    await socket.accept()


app = FastAPI()
version = APIRouter(prefix="/v1")
version.include_router(lamps)
version.include_router(chairs)
app.include_router(version)
set_up(app)


@pytest.fixture
async def client() -> AsyncGenerator[AsyncClient]:
    """A client that sends no token."""
    async with client_of(app) as client:
        del client.headers["Authorization"]
        yield client


async def test_a_route_knows_who_sends_the_request(client: AsyncClient) -> None:
    response = await client.get("/v1/lamps", headers=bearer("ann", "lamps:read", "x"))

    assert response.json() == {
        "subject": "ann",
        "client": "local",
        "permissions": ["lamps:read", "x"],
    }


@pytest.mark.parametrize(
    "value", [None, "", "Bearer", "Bearer ", "Basic YTpi", "x", "Bearer,x"]
)
async def test_a_request_without_a_token_is_asked_for_one(
    client: AsyncClient, value: str | None
) -> None:
    headers = {} if value is None else {"Authorization": value}

    response = await client.get("/v1/lamps", headers=headers)

    assert response.status_code == 401
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["www-authenticate"] == "Bearer"


async def test_two_tokens_count_as_no_token(client: AsyncClient) -> None:
    token = bearer("ann", "lamps:read")["Authorization"].encode()
    headers = [(b"authorization", token), (b"Authorization", token)]

    response = await client.get("/v1/lamps", headers=headers)

    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer "])
async def test_case_and_blanks_of_the_scheme_do_not_matter(
    client: AsyncClient, scheme: str
) -> None:
    token = ISSUER.token("ann", "lamps:read")

    response = await client.get(
        "/v1/lamps", headers={"authorization": f"{scheme} {token}"}
    )

    assert response.status_code == 200


async def test_a_missing_permission_is_named(client: AsyncClient) -> None:
    reader = bearer("bob", "lamps:read", "lamps:write")

    allowed = await client.get("/v1/lamps", headers=reader)
    refused = await client.delete("/v1/lamps", headers=reader)

    assert allowed.status_code == 200
    assert refused.status_code == 403
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["detail"] == "This requires the permission lamps:delete."
    assert refused.headers["www-authenticate"] == (
        'Bearer error="insufficient_scope", scope="lamps:read lamps:write lamps:delete"'
    )


async def test_a_permission_of_the_router_is_needed_on_each_of_its_routes(
    client: AsyncClient,
) -> None:
    headers = bearer("bob", "lamps:write")

    for path in ("/v1/lamps", "/v1/lamps/bulbs"):
        response = await client.get(path, headers=headers)
        assert response.status_code == 403
        assert 'scope="lamps:read"' in response.headers["www-authenticate"]


async def test_an_ordinary_router_may_require_a_permission_too(
    client: AsyncClient,
) -> None:
    headers = [{}, bearer("ann"), bearer("ann", "chairs:read")]

    responses = [await client.get("/v1/chairs", headers=each) for each in headers]

    assert [response.status_code for response in responses] == [401, 403, 200]


async def test_only_a_token_says_who_sends_a_request() -> None:
    class Gateway:
        """Stands for middleware of a team that keeps a sender of its own."""

        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            everything = frozenset({"chairs:read"})
            sender = SimpleNamespace(permissions=everything)
            await self.app({**scope, "state": {"principal": sender}}, receive, send)

    other = FastAPI()
    other.include_router(chairs)
    other.add_middleware(Gateway)
    set_up(other)
    async with client_of(other) as client:
        response = await client.get("/chairs", headers={"Authorization": ""})

    assert response.status_code == 401


async def test_the_sender_is_judged_before_the_body_is_read(
    client: AsyncClient,
) -> None:
    read = 0

    async def body(part: bytes) -> AsyncGenerator[bytes]:
        nonlocal read
        for _ in range(20):
            read += 1
            yield part

    for path in ("/v1/lamps", "/v1/lamps/bulbs"):
        for part in (b"{", b"{}", b"x" * 100_000):
            response = await client.post(path, content=body(part))
            assert response.status_code == 401
        assert read == 0

    without_permission = bearer("bob", "lamps:write")
    response = await client.post(
        "/v1/lamps", content=body(b"{"), headers=without_permission
    )
    assert response.status_code == 403
    assert read == 0


async def test_the_sender_is_judged_before_a_connection_is_used(
    client: AsyncClient,
) -> None:
    used = []

    def note(*_: object) -> None:
        used.append(True)

    event.listen(engine.sync_engine, "checkout", note)
    for headers in ({}, bearer("ann", "lamps:read")):
        await client.post("/v1/lamps", json={"name": "red"}, headers=headers)
    assert used == []
    headers = bearer("ann", "lamps:read", "lamps:write")
    await client.post("/v1/lamps", json={"name": "red"}, headers=headers)
    event.remove(engine.sync_engine, "checkout", note)

    assert used


async def test_whether_a_token_is_valid_may_be_unknown(
    client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_: str) -> None:
        raise KeysUnavailableError

    monkeypatch.setattr(ISSUER, "get", fail)

    response = await client.get("/v1/lamps", headers=bearer("ann", "lamps:read"))

    assert response.status_code == 503
    assert int(response.headers["retry-after"]) > 0
    assert "www-authenticate" not in response.headers


async def test_routes_that_ask_for_no_token_are_found(client: AsyncClient) -> None:
    assert await open_routes(app) == [
        "GET /v1/chairs/{chair_id} (test_auth.get_chair)",
        "GET /v1/chairs/watch (test_auth.watch_chairs)",
    ]


async def test_an_open_route_that_fails_is_found_without_a_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    other = FastAPI()
    set_up(other)

    @other.get("/broken")
    async def fail() -> None:
        raise ZeroDivisionError

    assert await open_routes(other) == ["GET /broken (test_auth.fail)"]
    assert not caplog.records


@pytest.mark.parametrize(
    "path", ["/{desk:uuid}", "/{desk:int}", "/{desk:float}", "/{desk:path}", "/{desk}"]
)
async def test_a_protected_route_is_found_to_be_so_whatever_its_path_accepts(
    path: str,
) -> None:
    router = ProtectedRouter(prefix="/desks")
    router.add_api_route(path, list_bulbs)
    other = FastAPI()
    other.include_router(router)

    assert await open_routes(other) == []


def test_what_a_protected_router_cannot_protect_is_refused() -> None:
    router = ProtectedRouter(prefix="/desks")
    public = ProtectedRouter()
    public.add_api_route("/price", get_price, openapi_extra={"security": []})

    for add in (
        router.add_route,
        router.mount,
        router.host,
        router.add_websocket_route,
    ):
        with pytest.raises(TypeError, match="/x would be open to everybody"):
            add("/x", FastAPI())
    with pytest.raises(TypeError, match="/x would be open to everybody"):
        router.frontend("/x", directory=".")
    for other in (APIRouter(), public):
        with pytest.raises(TypeError, match="includes only ProtectedRouters"):
            router.include_router(other)
    with pytest.raises(TypeError, match="route_class of its own"):
        ProtectedRouter(route_class=APIRoute)
    with pytest.raises(TypeError, match="route_class of its own"):
        router.add_api_route("/x", list_bulbs, route_class_override=APIRoute)
    assert router.routes == []


async def test_a_route_may_be_declared_public(client: AsyncClient) -> None:
    assert (await client.get("/v1/lamps/price")).json() == 7
    assert app.openapi()["paths"]["/v1/lamps/price"]["get"]["security"] == []


def test_the_openapi_document_has_the_permissions_of_a_route() -> None:
    document = app.openapi()
    security = {
        f"{method} {path}": operation["security"]
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if "security" in operation
    }

    assert security == {
        "get /v1/lamps": [{"token": ["lamps:read"]}],
        "post /v1/lamps": [{"token": ["lamps:read", "lamps:write"]}],
        "delete /v1/lamps": [{"token": ["lamps:delete", "lamps:read", "lamps:write"]}],
        "get /v1/lamps/price": [],
        "get /v1/lamps/bulbs": [{"token": ["lamps:read"]}],
        "post /v1/lamps/bulbs": [{"token": ["lamps:read"]}],
        "get /v1/chairs": [{"token": ["chairs:read"]}],
    }
    assert document["components"]["securitySchemes"] == {
        "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    }


def test_whatever_else_a_route_asks_for_is_documented_beside_the_token() -> None:
    router = ProtectedRouter(requires="lamps:read")
    alternatives = {"security": [{"signature": []}, {}]}
    router.add_api_route("/key", list_bulbs, dependencies=[Security(KEY)])
    router.add_api_route("/signature", list_bulbs, openapi_extra=alternatives)
    other = FastAPI()
    other.include_router(router)
    set_up(other)

    paths = other.openapi()["paths"]
    token = {"token": ["lamps:read"]}

    assert paths["/key"]["get"]["security"] == [{"APIKeyHeader": [], **token}]
    assert paths["/signature"]["get"]["security"] == [{"signature": [], **token}]


async def test_each_sender_has_idempotency_keys_of_its_own(client: AsyncClient) -> None:
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)

    async def post(subject: str, name: str) -> tuple[int, str]:
        headers = bearer(subject, "lamps:read", "lamps:write")
        headers["Idempotency-Key"] = "k"
        response = await client.post("/v1/lamps", json={"name": name}, headers=headers)
        return response.status_code, response.text

    assert await post("ann", "red") == (201, "red")
    assert await post("bob", "blue") == (201, "blue")
    assert await post("ann", "red") == (201, "red")
    assert (await post("ann", "blue"))[0] == 422
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.drop_all)


async def test_the_documentation_keeps_the_token_that_is_entered(
    client: AsyncClient,
) -> None:
    assert '"persistAuthorization": true' in (await client.get("/docs")).text


async def test_nothing_that_a_token_says_is_logged(
    client: AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret: dict[str, Any] = {"email": "ann@example.com", "client_id": "an-application"}
    bad: list[dict[str, Any]] = [{"aud": "x"}, {"exp": 1}, {"nonce": "n"}, {"iss": "x"}]
    tokens = [
        ISSUER.token("ann-subject", "lamps:read", **{**secret, **changes})
        for changes in ({}, *bad)
    ]

    texts = []
    for token in tokens:
        headers = {"Authorization": f"Bearer {token}"}
        for method, path in (("GET", "/v1/lamps/bulbs"), ("DELETE", "/v1/lamps")):
            texts.append((await client.request(method, path, headers=headers)).text)

    written = "\n".join([*texts, *(str(vars(record)) for record in caplog.records)])
    parts = [part for token in tokens for part in token.split(".")[1:]]
    for value in ("ann-subject", *secret.values(), *parts):
        assert value not in written
    assert "ann@example.com" not in repr(await auth.tokens.verify(tokens[0]))
