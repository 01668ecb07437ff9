"""The probes of a worker, which verifies no token."""

import pytest
from httpx2 import AsyncClient

from app.core import auth, health
from app.core.worker import probes
from tests.conftest import client_of


async def test_a_worker_is_ready_without_the_keys_that_the_service_waits_for(
    client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def load() -> str:
        return "the issuer does not respond"

    monkeypatch.setattr(auth.tokens.keys, "load", load)

    async with client_of(probes) as worker:
        of_worker = [await worker.get(path) for path in ("/livez", "/readyz")]
    of_service = await client.get("/readyz")

    assert [response.json() for response in of_worker] == [{"status": "ok"}] * 2
    assert of_service.json() == {"status": "signing keys unavailable"}


async def test_a_worker_that_is_about_to_stop_is_not_ready(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(health.draining, "is_set", lambda: True)

    async with client_of(probes) as worker:
        response = await worker.get("/readyz")

    assert (response.status_code, response.json()) == (503, {"status": "stopping"})
