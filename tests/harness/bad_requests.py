"""Requests that are wrong in every way that we know of."""

import itertools
import json
from base64 import urlsafe_b64encode
from collections.abc import Generator

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
    *({"If-Match": value} for value in ("", "1", '"1', 'W/"999"', "*,", "x" * 9000)),
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


def bad_requests() -> Generator[tuple[str, str, dict[str, object]]]:
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
