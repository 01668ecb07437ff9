"""Whatever a client sends, the answer is a 4xx that says why, and never a 5xx."""

import contextlib
import re
import select
import socket
from collections import Counter
from pathlib import Path

import httpx2
import pytest

from tests.harness.bad_requests import ID, JSON, bad_requests
from tests.harness.pages import HOW_TO, blocks, section
from tests.harness.postgres import Postgres
from tests.harness.project import Project
from tests.harness.serving import serving
from tests.harness.types import Measure

RAW_REQUESTS = [
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET /items\r\n\r\n",
    b"\x16\x03\x01\x00",
    b"GET /items HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
    b"GET /items HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"GET /items HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n",
    b"POST /items HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: x\r\n\r\n",
    b"POST /items HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx",
]


@pytest.mark.promise(3)
def test_bad_requests_are_4xx(
    client: httpx2.Client,
    postgres: Postgres,
    measure: Measure,
) -> None:
    outcomes: Counter[int] = Counter()
    wrong = []
    for method, path, options in bad_requests():
        response = client.request(method, path, timeout=10, **options)
        outcomes[response.status_code] += 1
        case = f"{method} {path[:60]} {str(options)[:120]}"
        is_problem = response.headers.get("content-type") == "application/problem+json"
        if response.status_code >= 500 or (
            response.status_code >= 400
            and not (is_problem and response.json()["request_id"])
        ):
            wrong.append(f"{response.status_code} {case}: {response.text[:100]}")
        elif response.status_code < 400:
            wrong.append(f"{response.status_code} {case}: accepted")
        if len(response.content) > 4096:
            wrong.append(f"{len(response.content)} bytes: {case}")

    measure(f"{outcomes.total()} bad requests: {dict(sorted(outcomes.items()))}.")
    assert wrong == [], "\n".join(wrong)
    assert outcomes.total() >= 150
    assert postgres.query("SELECT count(*) FROM item") == "0"


@pytest.mark.promise(6)
def test_no_error_repeats_the_input(client: httpx2.Client, measure: Measure) -> None:
    secret = "s3cret-and-more"
    requests = [
        ("POST", "/items", {"json": {"name": [secret]}}),
        ("POST", "/items", {"json": {"name": "Lamp", "quantity": secret}}),
        ("POST", "/items", {"json": {"name": f"{secret}\0"}}),
        ("POST", "/items", {"json": secret}),
        ("POST", "/items", {"content": f'{{"name": {secret}', "headers": JSON}),
        ("POST", "/items", {"headers": {"idempotency-key": f"{secret} x"}}),
        ("GET", "/items", {"params": {"cursor": secret}}),
        ("GET", "/items", {"params": {"sort": secret}}),
        ("GET", f"/items/{secret}", {}),
        ("GET", f"/{secret}", {}),
        ("PATCH", ID, {"json": {"quantity": 1}, "headers": {"if-match": secret}}),
    ]

    responses = [
        client.request(method, path, **more) for method, path, more in requests
    ]

    measure(
        f"{len(responses)} errors about a secret: 0 show it, all have a request id."
    )
    for request, response in zip(requests, responses, strict=True):
        assert 400 <= response.status_code < 500, request
        assert secret not in response.text, request
        assert response.json()["request_id"] == response.headers["x-request-id"]


@pytest.mark.promise(3)
@pytest.mark.parametrize("raw", RAW_REQUESTS, ids=repr)
def test_a_request_that_is_not_http_is_refused(
    client: httpx2.Client, raw: bytes
) -> None:
    address = (client.base_url.host, client.base_url.port)
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(raw)
        connection.shutdown(socket.SHUT_WR)
        answer = connection.recv(100)

    assert answer == b"" or answer.startswith(b"HTTP/1.1 4"), answer
    assert client.get("/livez").status_code == 200


@pytest.mark.promise(5)
def test_a_body_without_end_is_cut_off_and_not_kept(
    project: Project, postgres: Postgres, measure: Measure
) -> None:
    head = b"POST /items HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    with serving(project, postgres) as service:
        address = (service.client.base_url.host, service.client.base_url.port)
        service.client.post("/items", content=b"x" * 900_000, headers=JSON)
        before, sent = service.memory(), 0
        with socket.create_connection(address, timeout=10) as connection:
            connection.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
            # The service may close the connection between the question and the chunk.
            with contextlib.suppress(ConnectionResetError):
                while (
                    sent < 100_000_000 and not select.select([connection], [], [], 0)[0]
                ):
                    connection.sendall(chunk)
                    sent += len(chunk)
            answer = connection.recv(65_536)
        grown = max(0, service.memory() - before)

    measure(
        f"A body without end: {answer[9:12].decode()} after {sent / 1e6:.1f} MB, "
        f"{len(answer)} bytes long; memory grew by {grown / 1e6:.1f} MB."
    )
    assert answer.startswith(b"HTTP/1.1 413")
    assert len(answer) < 4096
    assert grown < 10_000_000


@pytest.mark.promise(7)
@pytest.mark.parametrize("status", [422, 500])
def test_a_failed_request_drops_no_neighbor(
    client: httpx2.Client, postgres: Postgres, status: int, measure: Measure
) -> None:
    address = (client.base_url.host, client.base_url.port)
    bad = {
        422: (
            b"POST /items HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: 1\r\n\r\n{"
        ),
        500: b"GET /items HTTP/1.1\r\nHost: x\r\n\r\n",
    }
    good = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    if status == 500:
        postgres.query("ALTER TABLE item RENAME TO moved")
    try:
        with socket.create_connection(address, timeout=10) as connection:
            connection.sendall(bad[status] + good)
            answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    finally:
        postgres.query("ALTER TABLE IF EXISTS moved RENAME TO item")

    measure(f"After a {status}: {answer.count(b'HTTP/1.1 200')} neighbor is answered.")
    assert answer.count(b"HTTP/1.1 ") == 2
    assert b"HTTP/1.1 %d" % status in answer
    assert b"HTTP/1.1 200" in answer


@pytest.mark.promise(4)
def test_a_fuzzer_finds_nothing(
    tmp_path: Path, project: Project, client: httpx2.Client, measure: Measure
) -> None:
    (settings,) = blocks(section(HOW_TO, "Fuzz the API"), "toml")
    config = tmp_path / "schemathesis.toml"
    config.write_text(settings)
    command = (
        *("uvx", "--from", "schemathesis>=4.32", "schemathesis"),
        *(f"--config-file={config}", "run"),
        *("--checks", "all", "--max-examples", "1200", "--seed", "1", "--workers", "1"),
    )
    document = str(client.base_url.join("/openapi.json"))

    result = project.run(*command, document, check=False)

    found = re.search(r"(\d+) generated, (\d+) passed", result.stdout)
    assert found is not None, result.stdout[-3000:]
    measure(f"schemathesis: {found[1]} calls, {found[2]} passed.")
    assert result.returncode == 0, result.stdout[-6000:]
    assert int(found[1]) >= 5000
