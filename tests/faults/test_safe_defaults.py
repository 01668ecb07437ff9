"""What production does not show, and what the log never holds."""

import json

import pytest

from tests.harness.postgres import Postgres
from tests.harness.project import Project
from tests.harness.serving import serving
from tests.harness.types import Measure

SECRET = "s3cret-" + "x" * 20


@pytest.mark.promise(20)
def test_production_shows_nothing_unless_told_to(
    project: Project, postgres: Postgres, measure: Measure
) -> None:
    with serving(
        project, postgres, DOCS="", ALLOWED_HOSTS="127.0.0.1,api.example.com"
    ) as service:
        client = service.client
        for path in ("/docs", "/redoc", "/openapi.json"):
            assert client.get(path).status_code == 404, path
        foreign = client.get("/", headers={"host": "evil.example.com"})
        named = client.get("/", headers={"host": "api.example.com"})
        origin = client.get("/", headers={"origin": "https://evil.example.com"})

    measure(f"Documentation 404, a foreign host {foreign.status_code}, no CORS header.")
    assert foreign.status_code == 400
    assert foreign.headers["content-type"] == "application/problem+json"
    assert named.status_code == 200
    assert "server" not in named.headers
    assert named.headers["x-content-type-options"] == "nosniff"
    assert not [name for name in origin.headers if name.startswith("access-control")]


def test_a_named_origin_may_call_from_a_browser(
    project: Project,
    postgres: Postgres,
) -> None:
    name = "https://app.example.com"
    with serving(project, postgres, CORS_ORIGINS=name) as service:
        response = service.client.get("/", headers={"origin": name})

    assert response.headers["access-control-allow-origin"] == name


@pytest.mark.promise(21)
def test_the_log_is_json_with_one_line_a_request_and_no_secret(
    project: Project, postgres: Postgres, measure: Measure
) -> None:
    with serving(project, postgres) as service:
        client = service.client
        headers = {"authorization": SECRET, "cookie": SECRET, "x-request-id": "here-1"}
        item = {"name": SECRET, "description": SECRET}
        assert client.post("/items", json=item, headers=headers).status_code == 201
        assert client.post("/items", json=item, headers=headers).status_code == 409
        refused = client.post("/items", json={"name": [SECRET], SECRET: SECRET})
        assert client.get(f"/items?name={SECRET}").status_code == 200
        assert client.get(f"/{SECRET}").status_code == 404
        postgres.query("ALTER TABLE item RENAME TO moved")
        broken = client.post("/items", json=item)
        postgres.query("ALTER TABLE moved RENAME TO item")

    output = (project.path / "output.txt").read_text()
    lines = [json.loads(line) for line in output.splitlines()]
    requests = [line for line in lines if line["logger"] == "app.access"]
    measure(f"{len(lines)} lines of the log: {output.count(SECRET)} have a secret.")
    assert refused.status_code == 422
    # The name of a field that nobody knows has to be named.
    assert SECRET not in refused.text.replace(f'"{SECRET}"', "", 1)
    assert broken.status_code == 500
    assert SECRET not in output
    assert SECRET not in broken.text
    assert {"method", "route", "status", "duration_ms", "request_id"} <= set(
        requests[0]
    )
    created = [line for line in requests if line["request_id"] == "here-1"]
    assert [(line["route"], line["status"]) for line in created] == [
        ("/items", 201),
        ("/items", 409),
    ]
    failed = [line for line in lines if "exception" in line]
    assert [line["request_id"] for line in failed] == [broken.json()["request_id"]]


def test_forwarded_headers_are_believed_of_a_named_proxy_only(
    project: Project, postgres: Postgres
) -> None:
    headers = {"x-forwarded-proto": "https", "host": "api.example.com"}
    locations = []
    for proxies in ("127.0.0.0/8", "10.0.0.1"):
        with serving(project, postgres, FORWARDED_ALLOW_IPS=proxies) as service:
            response = service.client.get("/items/", headers=headers)
            locations.append(response.headers["location"])

    assert locations == [
        "https://api.example.com/items",
        "http://api.example.com/items",
    ]


@pytest.mark.promise(19)
@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (None, "is required outside development"),
        *(
            (f"postgresql://me:{word}@127.0.0.1/db", "has a well-known password")
            for word in ("postgres", "changeme", "changethis", "password", "secret")
        ),
    ],
)
def test_a_secret_that_is_missing_or_known_to_everybody_is_refused_by_name(
    project: Project, url: str | None, reason: str, measure: Measure
) -> None:
    result = project.run(
        *("python", "-m", "app.core.serve"),
        check=False,
        ENVIRONMENT="production",
        DATABASE_URL=url,
        DB_POOL_SIZE="many",
    )

    measure(f"DATABASE_URL {url}: refused, it {reason}.")
    assert result.returncode == 1
    assert f"DATABASE_URL: {reason}" in result.stdout
    # All that is wrong is said at once.
    assert "DB_POOL_SIZE" in result.stdout
    assert "Traceback" not in result.stdout


def test_a_slow_statement_is_logged_without_its_values(
    project: Project,
    postgres: Postgres,
) -> None:
    with serving(project, postgres, DB_SLOW_STATEMENT="0.000001") as service:
        service.client.post("/items", json={"name": SECRET})

    output = (project.path / "output.txt").read_text()
    slow = [
        json.loads(line) for line in output.splitlines() if "slow statement" in line
    ]
    assert any(line["sql"].startswith("INSERT INTO item") for line in slow)
    assert SECRET not in output
