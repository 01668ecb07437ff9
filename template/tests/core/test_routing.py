"""A request tries the routes that its path begins like, wherever they come from."""

import logging
from pathlib import Path
from typing import ClassVar

import httpx2
import pytest
from fastapi import APIRouter, FastAPI, Request
from fastapi.routing import APIRoute
from httpx2 import ASGITransport, AsyncClient
from starlette.responses import PlainTextResponse
from starlette.routing import Match
from starlette.types import Scope

from app.core.application import set_up
from app.core.http.route_index import index_routes
from app.core.http.routing import FeatureRouter

PATHS = """
    / // /lamps /lamps/on /lamps/on/ /lamps/7 /lamps/7/bulbs/on /lamps/7/bulbs
    /kitchen/chairs/on /v1 /v1/ /v1/lamps/on /v1/lamps/7 /v1/lamps/7/bulbs/on /v1/v1x/on
    /v1/kitchen/chairs/on /v1/lamps/7/bulbs/off/ /lampson /LAMPS/on /own-path /odd/own-path
    /mounted/a /odd/slash /odd/slash/ /odd/files/a/b%2Fc /odd/v12 /odd/v /first /first/
    /shop /shop/ /shop/pages/page.html /shop/pages/no /static /static/a /anything
    /any/thing /%2Flamps/on /lamps%2Fon /docs /openapi.json /other
"""


class Watched(APIRoute):
    """A route that remembers when it was tried."""

    tried: ClassVar[set[str]] = set()

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        self.tried.add(self.path)
        return super().matches(scope)


def feature(prefix: str, route_class: type[APIRoute] = APIRoute) -> FeatureRouter:
    router = FeatureRouter(prefix=prefix, route_class=route_class)

    @router.get("/on")
    async def is_on() -> str:
        return prefix

    return router


versions = FastAPI()
bulbs = feature("/lamps/{lamp_id}")
for prefix in ("/v1", "/v2"):
    version = APIRouter(prefix=prefix)
    version.include_router(bulbs)
    versions.include_router(version)
versions.include_router(bulbs)
set_up(versions)


async def ask(
    app: FastAPI, path: str, method: str = "GET", root_path: str = ""
) -> httpx2.Response:
    transport = ASGITransport(app, root_path=root_path)
    async with AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.request(method, path)


async def get(app: FastAPI, path: str) -> str:
    return (await ask(app, path)).json()


def many_kinds_of_routes(pages: Path, route_class: type[APIRoute]) -> FastAPI:
    """Return an application with every kind of route, some of them in each other's way."""
    app, api, versioned = FastAPI(), APIRouter(), APIRouter(prefix="/v1")
    for prefix in ("/lamps", "/lamps/{lamp_id}/bulbs", "/{room}/chairs", "/v1x"):
        api.include_router(feature(prefix, route_class))
        versioned.include_router(feature(prefix, route_class))
    odd = FeatureRouter(prefix="/odd")
    odd.add_route("/own-path", lambda _: PlainTextResponse("odd"))
    odd.mount("/mounted", PlainTextResponse("mounted"))
    odd.get("/slash/")(lambda: "slash")
    odd.post("/slash/")(lambda: "posted")
    odd.get("/files/{path:path}")(lambda path: path)
    odd.get("/v{number}")(lambda number: number)
    versioned.get("/lamps/{lamp_id}")(lambda lamp_id: f"too late for {lamp_id}")
    api.get("/lamps/on")(lambda: "too late")
    api.include_router(odd)
    api.get("/first")(lambda: "first")
    api.include_router(versioned)
    api.post("/first")(lambda: "posted")
    shop = APIRouter(prefix="/shop")
    shop.get("")(lambda: "shop")
    shop.frontend("/pages", directory=pages)
    api.include_router(shop)
    app.include_router(api)
    app.get("/")(lambda: "root")
    app.mount("/static", PlainTextResponse("static"))
    app.host("other.test", PlainTextResponse("host"))
    app.get("/{anything}")(lambda anything: anything)
    return app


@pytest.mark.parametrize("root_path", ["", "/shop"])
@pytest.mark.parametrize("route_class", [APIRoute, Watched])
async def test_each_request_gets_the_response_that_it_gets_without_an_index(
    tmp_path: Path, route_class: type[APIRoute], root_path: str
) -> None:
    (tmp_path / "page.html").write_text("page")
    apps = [many_kinds_of_routes(tmp_path, route_class) for _ in range(2)]
    index_routes(apps[1])

    for path in [*PATHS.split(), "/" * 5000]:
        for method in ("GET", "POST"):
            host = "other.test" if path == "/other" else "test"
            url = f"http://{host}{root_path}{path}"
            plain, indexed = [await ask(app, url, method, root_path) for app in apps]
            assert indexed.status_code == plain.status_code, (method, path)
            assert indexed.content == plain.content, (method, path)
            assert dict(indexed.headers) == dict(plain.headers), (method, path)


@pytest.mark.parametrize("prefix", ["", "/v1"])
async def test_the_routes_of_another_feature_are_not_tried(prefix: str) -> None:
    app, api = FastAPI(), APIRouter()
    for name in ("/lamps", "/chairs", "/tables"):
        api.include_router(feature(name, Watched))
    app.include_router(api, prefix=prefix)
    set_up(app)
    Watched.tried.clear()

    assert await get(app, f"{prefix}/chairs/on") == "/chairs"
    assert (await ask(app, f"{prefix}/livez")).status_code in {200, 404}
    assert (await ask(app, f"{prefix}/unknown")).status_code == 404

    assert Watched.tried == {"/chairs/on"}


async def test_a_route_that_is_added_after_the_first_request_is_found() -> None:
    app, api = FastAPI(), APIRouter()
    lamps, shelves = feature("/lamps"), APIRouter()
    shelves.get("/shelves/{shelf_id}")(lambda shelf_id: shelf_id)
    api.include_router(shelves)
    api.include_router(lamps)
    app.include_router(api)
    set_up(app)
    await get(app, "/lamps/on")

    lamps.get("/off")(lambda: "off")
    assert await get(app, "/lamps/off") == "off"

    shelves.get("/stools")(lambda: "stools")
    assert await get(app, "/stools") == "stools"

    api.include_router(feature("/chairs"))
    app.post("/lamps/on")(lambda: "posted")

    assert await get(app, "/chairs/on") == "/chairs"
    assert (await ask(app, "/lamps/on", "POST")).json() == "posted"


async def test_a_route_makes_the_urls_of_other_features() -> None:
    app = FastAPI()
    app.include_router(feature("/lamps"))

    @app.get("/link")
    async def link(request: Request) -> str:
        return str(request.url_for("is_on"))

    set_up(app)

    assert await get(app, "/link") == "http://test/lamps/on"


@pytest.mark.parametrize(
    ("path", "root_path"),
    [("/lamps/on", ""), ("/shop/lamps/on", "/shop"), ("/mounted/lamps/on", "")],
)
async def test_a_method_that_a_path_lacks_is_answered_with_those_that_it_has(
    path: str, root_path: str
) -> None:
    app, outer = FastAPI(), FastAPI()
    app.include_router(feature("/lamps"))
    app.delete("/lamps/on")(lambda: None)
    set_up(app)
    outer.mount("/mounted", app)
    outer.mount("/", app)

    response = await ask(outer, path, "PUT", root_path)

    assert (response.status_code, response.headers["allow"]) == (405, "DELETE, GET")


@pytest.mark.parametrize("path", ["/v1/lamps/7/on", "/v2/lamps/7/on", "/lamps/7/on"])
async def test_the_log_has_the_path_of_a_route_with_all_prefixes(
    caplog: pytest.LogCaptureFixture, path: str
) -> None:
    caplog.set_level(logging.INFO)

    await get(versions, path)

    (line,) = (vars(r) for r in caplog.records if r.name == "app.access")
    assert line["route"] == path.replace("7", "{lamp_id}")
    assert line["route"] in versions.openapi()["paths"]
