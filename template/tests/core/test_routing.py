"""A feature is found by its prefix, wherever its router is included."""

import logging
from typing import ClassVar

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from httpx2 import ASGITransport, AsyncClient
from starlette.routing import Match
from starlette.types import Scope

from app.core.application import set_up
from app.core.http.routing import FeatureRouter


class Watched(APIRoute):
    """A route that remembers when it was tried."""

    tried: ClassVar[set[str]] = set()

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        self.tried.add(self.path)
        return super().matches(scope)


def feature(prefix: str) -> FeatureRouter:
    router = FeatureRouter(prefix=prefix, route_class=Watched)

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


async def get(app: FastAPI, path: str, root_path: str = "") -> str:
    transport = ASGITransport(app, root_path=root_path)
    async with AsyncClient(transport=transport, base_url="http://test") as client:
        response = await client.get(path, follow_redirects=True)
        return response.json()


async def test_the_routes_of_another_feature_are_not_tried() -> None:
    app = FastAPI()
    app.include_router(feature("/lamps"))
    app.include_router(feature("/chairs"))
    Watched.tried.clear()

    assert await get(app, "/chairs/on") == "/chairs"

    assert Watched.tried == {"/chairs/on"}


@pytest.mark.parametrize(
    ("prefix", "path"),
    [
        ("", "/v1/on"),
        ("/lamps", "/v1/lamps/on"),
        ("/lamps", "/v1/lamps/on/"),
        ("/lamps/{lamp_id}/bulbs", "/v1/lamps/7/bulbs/on"),
        ("/{room}/lamps", "/v1/kitchen/lamps/on"),
    ],
)
@pytest.mark.parametrize("root_path", ["", "/shop"])
async def test_a_feature_is_found_beneath_other_prefixes(
    prefix: str, path: str, root_path: str
) -> None:
    app, version = FastAPI(), APIRouter(prefix="/v1")
    version.include_router(feature(prefix))
    app.include_router(version)

    assert await get(app, root_path + path, root_path) == prefix


async def test_a_path_that_no_feature_has_is_not_found() -> None:
    app = FastAPI()
    app.include_router(feature("/lamps"))

    assert await get(app, "/lamp/on") == {"detail": "Not Found"}
    assert await get(app, "/lamps/off") == {"detail": "Not Found"}


@pytest.mark.parametrize("path", ["/v1/lamps/7/on", "/v2/lamps/7/on", "/lamps/7/on"])
async def test_the_log_has_the_path_of_a_route_with_all_prefixes(
    caplog: pytest.LogCaptureFixture, path: str
) -> None:
    caplog.set_level(logging.INFO)

    await get(versions, path)

    (line,) = (vars(r) for r in caplog.records if r.name == "app.access")
    assert line["route"] == path.replace("7", "{lamp_id}")
    assert line["route"] in versions.openapi()["paths"]
