#!/usr/bin/env bash
# Starlette 1.10.0: GZipMiddleware sends the same strong ETag with two different bodies.
#
# A strong ETag names exact bytes. nginx therefore makes it weak when it compresses a response.
# GZipMiddleware leaves it as it is, so the compressed and the plain response have one name. A
# client or a cache that combines ranges, or compares downloads by their ETag, takes them for
# the same bytes. In return, If-Match keeps working: it needs a strong ETag, so behind nginx it
# matches nothing.
#
# Seen on Python 3.11.7 with Starlette 1.10.0:
#   gzip:     ETag "1", gzip
#   identity: ETag "1", None
#
# Exits with 1 if this is no longer so. Needs uv and a package index, nothing else.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv --quiet "$folder/venv"
uv pip install --quiet --python "$folder/venv/bin/python" starlette==1.10.0 httpx2==2.16.2

"$folder/venv/bin/python" - <<'PYTHON'
import asyncio

from httpx2 import ASGITransport, AsyncClient
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route


async def lamps(request):
    return PlainTextResponse("lamp " * 1000, headers={"ETag": '"1"'})


app = Starlette(routes=[Route("/", lamps)], middleware=[Middleware(GZipMiddleware)])


async def main():
    seen = {}
    transport = ASGITransport(app)
    async with AsyncClient(transport=transport, base_url="http://example.com") as client:
        for encoding in ("gzip", "identity"):
            response = await client.get("/", headers={"Accept-Encoding": encoding})
            names = ("etag", "content-encoding")
            seen[encoding] = [response.headers.get(name) for name in names]
            print(f"{encoding}: ETag {seen[encoding][0]}, {seen[encoding][1]}")
    assert seen == {"gzip": ['"1"', "gzip"], "identity": ['"1"', None]}


asyncio.run(main())
PYTHON
