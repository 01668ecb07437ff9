"""The service as a client first meets it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI, Request
from httpx2 import AsyncClient

from app.core.config import settings
from app.core.http.routing import FeatureRouter
from tests.conftest import client_of


async def test_the_root_names_the_service_and_its_version(client: AsyncClient) -> None:
    response = await client.get("/")

    assert response.status_code == 200
    assert response.json() == {
        "service": settings.APP_TITLE,
        "version": settings.APP_VERSION,
    }


async def test_the_openapi_document_has_the_service_s_own_words(
    client: AsyncClient,
) -> None:
    info = (await client.get("/openapi.json")).json()["info"]

    assert info["title"] == settings.APP_TITLE
    assert info["description"] == settings.APP_DESCRIPTION
    assert info["version"] == settings.APP_VERSION


async def test_both_kinds_of_interactive_documentation_are_there(
    client: AsyncClient,
) -> None:
    assert "swagger" in (await client.get("/docs")).text
    assert "redoc" in (await client.get("/redoc")).text


async def test_a_router_has_what_its_lifespan_opens_until_the_application_stops() -> (
    None
):
    seen = []

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[dict[str, list[str]]]:
        yield {"opened": seen}
        seen.append("closed")

    feature = FeatureRouter(prefix="/feature", lifespan=lifespan)

    @feature.get("")
    async def use(request: Request) -> None:
        request.state.opened.append("used")

    router, application = APIRouter(), FastAPI()
    router.include_router(feature)
    application.include_router(router)

    async with client_of(application) as client:
        assert (await client.get("/feature")).status_code == 200

    assert seen == ["used", "closed"]
