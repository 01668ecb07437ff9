"""What a client is told when a request cannot be done."""

import pytest
from fastapi import FastAPI
from httpx2 import ASGITransport, AsyncClient

from app.core.errors import ConflictError, NotFoundError, add_error_handlers

app = FastAPI()
add_error_handlers(app)


@app.get("/missing")
async def missing() -> None:
    raise NotFoundError("There is no request 7.")


@app.get("/conflicting")
async def conflicting() -> None:
    raise ConflictError("Request 7 is closed.")


@pytest.mark.parametrize(
    ("path", "status", "title", "detail"),
    [
        ("/missing", 404, "Not Found", "There is no request 7."),
        ("/conflicting", 409, "Conflict", "Request 7 is closed."),
    ],
)
async def test_an_error_of_a_service_is_a_problem_document(
    path: str, status: int, title: str, detail: str
) -> None:
    transport = ASGITransport(app)
    async with AsyncClient(transport=transport, base_url="http://test") as client:
        response = await client.get(path)

    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json() == {"title": title, "status": status, "detail": detail}
