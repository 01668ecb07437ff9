#!/usr/bin/env bash
# FastAPI 0.165.0: one request matches a route of an included router several times.
#
# A router that is included in the application is asked twice whether it has the route of a
# request: once to choose the router, and once more to find the route in it. Each further
# level of `include_router` adds one. A route class whose `matches` counts, logs or looks
# something up does so two to six times for a request, and the time of matching grows with the
# depth of the routers as well as with the number of routes. Before FastAPI kept routers as
# they are, `include_router` copied the routes, and each was matched once.
#
# Seen on Python 3.11.7 with FastAPI 0.165.0 and Starlette 1.10.0, for routers that are nested
# 0 to 4 levels deep:
#   {0: 2, 1: 3, 2: 4, 3: 5, 4: 6}
#
# Exits with 1 if this is no longer so. Needs uv and a package index, nothing else.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv --quiet "$folder/venv"
uv pip install --quiet --python "$folder/venv/bin/python" \
    fastapi==0.165.0 starlette==1.10.0 httpx2==2.16.2

"$folder/venv/bin/python" - <<'PYTHON'
import asyncio

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from httpx2 import ASGITransport, AsyncClient


class Counted(APIRoute):
    times = 0

    def matches(self, scope):
        Counted.times += 1
        return super().matches(scope)


async def times_matched(depth):
    router = APIRouter(route_class=Counted)
    router.get("/lamp")(lambda: "on")
    for _ in range(depth):
        outer = APIRouter()
        outer.include_router(router)
        router = outer
    app = FastAPI()
    app.include_router(router)
    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        await client.get("/lamp")
        Counted.times = 0
        assert (await client.get("/lamp")).json() == "on"
    return Counted.times


async def main():
    return {depth: await times_matched(depth) for depth in range(5)}


seen = asyncio.run(main())
print(seen)
assert seen == {0: 2, 1: 3, 2: 4, 3: 5, 4: 6}, seen
PYTHON
