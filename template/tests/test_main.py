"""The service as a client first meets it."""

from httpx2 import AsyncClient

from app.core.config import settings


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
