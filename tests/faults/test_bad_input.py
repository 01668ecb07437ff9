"""Whatever a client sends, the answer is a 4xx that says why, and never a 5xx."""

import contextlib
import itertools
import json
import re
import select
import socket
from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import Generator
from pathlib import Path

import httpx2
import pytest

from tests.harness.pages import HOW_TO, blocks, section
from tests.harness.postgres import Postgres
from tests.harness.project import Project
from tests.harness.serving import serving
from tests.harness.types import Measure

ID = "/items/01900000-0000-7000-8000-000000000000"
JSON = {"content-type": "application/json"}
VALUES: list[object] = [
    *(None, True, 1.5, -1, 2**31, 2**63, 10**400, "", " ", "x" * 101, "x" * 10_000),
    *("nul\x00", [], ["x"], {}, {"x": 1}, "\u0000", "\t", "\u200b\x00"),
]
RAW_VALUES = [
    *(b'"\\ud800"', b'"\\udc00\\ud800"', b"NaN", b"Infinity", b"-Infinity", b"1e999"),
    *(
        b'"\xff\xfe"',
        b"01",
        b"0x10",
        b"'x'",
        b"undefined",
        b'"\\x41"',
        b"1_000",
        b"--1",
    ),
]
BODIES = [
    *(b"", b" ", b"{", b"}", b"[", b"null", b"1", b'"x"', b"[]", b"{}", b"{]", b"\x00"),
    *(b'{"name": "x",}', b'{"name" "x"}', b"{'name': 'x'}", b"\xff\xfe{}", b"name=x"),
    *(
        b"[" * 50_000,
        b'{"a":' * 50_000,
        b'{"name": "x"} {}',
        b"<item/>",
        b"\xef\xbb\xbf{",
    ),
]
CONTENT_TYPES = [
    *(
        "text/plain",
        "application/xml",
        "multipart/form-data",
        "x",
    ),
    *("application/x-www-form-urlencoded", "application/octet-stream", "", "text/html"),
]
QUERIES = [
    *(
        "limit=0",
        "limit=-1",
        "limit=101",
        f"limit={2**63}",
        f"limit={10**400}",
        "limit=",
    ),
    *(
        "limit=x",
        "limit=1.5",
        "limit=NaN",
        "limit=1e3",
        "limit=%00",
        "limit=%ff",
        "cursor=",
    ),
    *(
        "cursor=x",
        "cursor=%00",
        "cursor=1",
        "cursor=%F0%9F",
        f"cursor={'0' * 5000}",
        "limit=٣²",
    ),
    *(
        "limit=1&limit=x",
        "cursor=null",
        "limit[]=1x&limit=z",
        "limit=true",
        "cursor=%27--",
    ),
]
ORDER_VALUES: dict[str, list[object]] = {
    "quantity": [2**31, -(2**31) - 1, 10**400, 1.5, True, "1", None, float("inf")],
    "created_at": ["x\0", "infinite", "2026-01-01T00:00:00", 10**30, 0, [], {}],
    "-created_at": ["9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", ""],
}
QUERIES += [
    f"sort={sort}&cursor={urlsafe_b64encode(json.dumps([value, ID[7:]]).encode()).decode()}"
    for sort, values in ORDER_VALUES.items()
    for value in values
]
QUERIES += [
    "sort=",
    "sort=name",
    "sort=id;--",
    "name=",
    "name=%00",
    f"name={'x' * 101}",
]
HEADERS = [
    *({"If-Match": value} for value in ("", "1", '"1', 'W/"1"', "*,", "x" * 9000)),
    *({"Idempotency-Key": value} for value in ("", "a b", "x" * 256, "\xfc")),
]
PATHS = [
    *("/items/x", "/items/%00", "/items/1", "/items/%ff", "/items/null", "/nowhere"),
    *(
        "/ITEMS",
        f"/items/{'x' * 5000}",
        "/%2e%2e/etc/passwd",
        "/items/;drop",
        "/items/%0a",
    ),
]
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


def requests() -> Generator[tuple[str, str, dict[str, object]]]:
    """Each bad request: method, path, and what httpx sends."""
    for field, value in itertools.product(("name", "description", "quantity"), VALUES):
        if field == "description" and value in (
            None,
            "",
            " ",
            "x" * 101,
            "\t",
            "\u200b",
        ):
            continue
        body = json.dumps({"name": "Lamp", field: value}).encode()
        yield "POST", "/items", {"content": body, "headers": JSON}
    for name in ("a\nb", "a\r\nBcc: b", "a\x1b[31mb", "a\x7fb"):
        yield "POST", "/items", {"json": {"name": name}}
    for field, raw in itertools.product(("name", "quantity"), RAW_VALUES):
        body = b'{"name": "Lamp", "%s": %s}' % (field.encode(), raw)
        yield "POST", "/items", {"content": body, "headers": JSON}
    for method, body in itertools.product(("POST", "PATCH"), BODIES):
        if (method, body) != ("PATCH", b"{}"):
            path = "/items" if method == "POST" else ID
            headers = {**JSON, "If-Match": "*"} if method == "PATCH" else JSON
            yield method, path, {"content": body, "headers": headers}
    for header, path in itertools.product(HEADERS, ("/items", ID)):
        headers = {**JSON, **{k: v.encode("latin-1") for k, v in header.items()}}
        method = "PATCH" if path == ID else "POST"
        if "Idempotency-Key" in header or path == ID:
            yield method, path, {"content": b'{"name": "Lamp"}', "headers": headers}
    for text in VALUES:
        if text not in (" ", "x" * 101, "\t"):
            yield "POST", f"{ID}/notes", {"json": {"text": text}}
    for kind in CONTENT_TYPES:
        headers = {"content-type": kind}
        yield "POST", "/items", {"content": b'{"name": "Lamp"}', "headers": headers}
    yield "POST", "/items", {"json": {"name": "Lamp", "unknown": 1}}
    yield "POST", "/items", {"json": {"name": "Lamp", "id": "x"}}
    for query in QUERIES:
        yield "GET", f"/items?{query}", {}
    for path in PATHS:
        yield "GET", path, {}
    for method in ("PUT", "DELETE", "OPTIONS", "TRACE", "PROPFIND"):
        yield method, "/items", {}
    yield "POST", "/items", {"content": b"x" * 2_000_000, "headers": JSON}


@pytest.mark.promise(3)
def test_bad_requests_are_4xx(
    client: httpx2.Client,
    postgres: Postgres,
    measure: Measure,
) -> None:
    outcomes: Counter[int] = Counter()
    wrong = []
    for method, path, options in requests():
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
