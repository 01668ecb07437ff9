"""Every route of the service asks for an access token, unless it is declared public."""

import pytest

from app.main import app
from tests.open_routes import open_routes

WHAT_TO_DO = """
Make their router a ProtectedRouter, from app.core.auth, instead of a FeatureRouter or an
APIRouter: router = ProtectedRouter(prefix="/lamps", tags=["lamps"], requires="lamps:read").
If everybody may use a route, declare it: openapi_extra={"security": []}."""


@pytest.mark.usefixtures("connection")
async def test_every_route_asks_for_a_token_or_is_declared_public() -> None:
    routes = await open_routes(app)

    problem = ["These routes respond without an access token:", *routes, WHAT_TO_DO]
    assert not routes, "\n".join(problem)
