#!/usr/bin/env bash
# FastAPI 0.165.0: of a value sent twice, a header gives the first, all others give the last.
#
# A parameter that is not a list takes one value. Which one depends on where it comes from:
# the same client that sends "color=red" and then "color=blue" is read as "blue" in the query,
# in a form and in cookies, but as "red" in a header. Nothing rejects the second value. Code
# that moves a parameter from the query into a header, or a proxy that appends to a header
# what it would replace in a query, changes the result.
#
# Seen on Python 3.11.7 with FastAPI 0.165.0, Starlette 1.10.0 and python-multipart 0.0.22:
#   query blue, form blue, cookie blue, header red
#
# Exits with 1 if this is no longer so. Needs uv and a package index, nothing else.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv --quiet "$folder/venv"
uv pip install --quiet --python "$folder/venv/bin/python" \
    fastapi==0.165.0 starlette==1.10.0 python-multipart==0.0.22 httpx2==2.16.2

"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
from typing import Annotated

from fastapi import Cookie, FastAPI, Form, Header, Query
from httpx2 import ASGITransport, AsyncClient

app = FastAPI()


@app.get("/query")
async def query(color: Annotated[str, Query()]) -> str:
    return color


@app.post("/form")
async def form(color: Annotated[str, Form()]) -> str:
    return color


@app.get("/cookie")
async def cookie(color: Annotated[str, Cookie()]) -> str:
    return color


@app.get("/header")
async def header(color: Annotated[str, Header()]) -> str:
    return color


async def main():
    twice = "color=red&color=blue"
    form = {"content-type": "application/x-www-form-urlencoded"}
    transport = ASGITransport(app)
    async with AsyncClient(transport=transport, base_url="http://test") as client:
        return {
            "query": (await client.get(f"/query?{twice}")).json(),
            "form": (await client.post("/form", content=twice, headers=form)).json(),
            "cookie": (
                await client.get("/cookie", headers={"cookie": "color=red; color=blue"})
            ).json(),
            "header": (
                await client.get(
                    "/header", headers=[("color", "red"), ("color", "blue")]
                )
            ).json(),
        }


seen = asyncio.run(main())
print(seen)
others = {"query": "blue", "form": "blue", "cookie": "blue"}
assert seen == {**others, "header": "red"}, seen
PYTHON
