"""A service and a real OpenID provider: its tokens, its new keys, and its outages."""

import asyncio
import base64
import json
import secrets
import time
from collections import Counter
from collections.abc import Generator

import httpx2
import pytest

from tests.harness.issuer import Issuer
from tests.harness.postgres import Postgres
from tests.harness.project import Project, wait_until
from tests.harness.serving import Service, concurrently, serving
from tests.harness.types import Measure, Render


@pytest.fixture(scope="module")
def project(installed: Render) -> Project:
    return installed(auth="oidc")


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Issuer:
    return Issuer(tmp_path_factory.mktemp("issuer"))


@pytest.fixture
def service(project: Project, postgres: Postgres, issuer: Issuer) -> Generator[Service]:
    with issuer.running(), serving(project, postgres, **issuer.settings) as service:
        yield service


def sent(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def with_unknown_key(token: str) -> str:
    """Return a token whose key the issuer does not have."""
    first, *others = token.split(".")
    header = json.loads(base64.urlsafe_b64decode(f"{first}=="))
    header["kid"] = secrets.token_hex(8)
    first = base64.urlsafe_b64encode(json.dumps(header).encode()).decode().rstrip("=")
    return ".".join([first, *others])


def test_the_tokens_of_a_provider_are_told_apart(
    client: httpx2.Client, issuer: Issuer
) -> None:
    machine, person = issuer.machine_token(), issuer.person_tokens()

    written = client.post("/items", json={"name": "Lamp"}, headers=sent(machine))
    read = client.get("/items", headers=sent(person["access_token"]))
    refused = client.post(
        "/items", json={"name": "Chair"}, headers=sent(person["access_token"])
    )
    others = [
        client.get("/items", headers=sent(person[name])).status_code
        for name in ("id_token", "refresh_token")
    ]

    assert written.status_code == 201
    assert [item["name"] for item in read.json()["items"]] == ["Lamp"]
    assert refused.status_code == 403
    assert others == [401, 401]


def test_a_new_key_is_fetched_once_and_unknown_ones_hardly_ever(
    client: httpx2.Client, issuer: Issuer, measure: Measure
) -> None:
    old = issuer.machine_token()
    assert client.get("/items", headers=sent(old)).status_code == 200
    issuer.tell("rotate")
    new = issuer.machine_token()
    before = issuer.fetches()

    async def fifty(many: httpx2.AsyncClient) -> Counter[int]:
        requests = [many.get("/items", headers=sent(new)) for _ in range(50)]
        responses = await asyncio.gather(*requests)
        return Counter(response.status_code for response in responses)

    statuses = concurrently(client, fifty)
    rotated = issuer.fetches()
    unknown = Counter(
        client.get("/items", headers=sent(with_unknown_key(new))).status_code
        for _ in range(500)
    )

    assert statuses == {200: 50}
    assert rotated - before == 1
    assert unknown == {401: 500}
    assert issuer.fetches() - rotated <= 2
    assert client.get("/items", headers=sent(old)).status_code == 200
    measure(
        f"A new key, 50 requests at once: {statuses[200]} × 200, {rotated - before} "
        f"fetch; 500 unknown keys: {issuer.fetches() - rotated} fetches."
    )


def test_an_outage_of_the_issuer_concerns_new_keys_only(
    client: httpx2.Client, issuer: Issuer, measure: Measure
) -> None:
    known = issuer.machine_token()
    assert client.get("/items", headers=sent(known)).status_code == 200
    issuer.tell("down")

    def status_of_unknown() -> int:
        headers = sent(with_unknown_key(known))
        return client.get("/items", headers=headers).status_code

    wait_until(lambda: status_of_unknown() == 503)
    assert client.get("/items", headers=sent(known)).status_code == 200
    assert client.get("/readyz").status_code == 200

    issuer.tell("up")
    issuer.tell("rotate")
    new = issuer.machine_token()
    start = time.monotonic()
    wait_until(lambda: client.get("/items", headers=sent(new)).status_code == 200)
    measure(f"The issuer is back with a new key: {time.monotonic() - start:.1f} s.")


def test_a_service_starts_without_its_issuer(
    project: Project, postgres: Postgres, issuer: Issuer, measure: Measure
) -> None:
    settings = {**issuer.settings, "DATABASE_URL": postgres.url}
    project.run("alembic", "upgrade", "head", **settings)
    with issuer.running():
        token = issuer.machine_token()

    with project.serve(**settings) as client:
        paths = ("/", "/livez", "/readyz")
        statuses = [client.get(path).status_code for path in paths]
        items = client.get("/items", headers=sent(token))
        log = (project.path / "output.txt").read_text()
        with issuer.running():
            start = time.monotonic()
            wait_until(lambda: client.get("/readyz").status_code == 200)
            recovery = time.monotonic() - start
            token = issuer.machine_token()
            wait_until(
                lambda: client.get("/items", headers=sent(token)).status_code == 200
            )

    assert statuses == [200, 200, 503]
    assert items.status_code == 503
    assert int(items.headers["retry-after"]) > 0
    assert "not ready: signing keys unavailable" in log
    assert not any(part in log for part in token.split("."))
    measure(f"The issuer of a service that started without it: {recovery:.1f} s.")
