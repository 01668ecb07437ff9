"""The CPU time of requests to a service that runs in this process, printed as JSON.

Run in a rendered project, with the path of the list of its last feature.
"""

import asyncio
import gc
import json
import statistics
import sys
from time import process_time

from app.core.database import engine
from app.core.serve import OBJECTS_UNTIL_COLLECTION
from app.main import app
from httpx2 import ASGITransport, AsyncClient

ROUNDS, REQUESTS = 9, 50


async def milliseconds(client: AsyncClient, path: str) -> float:
    start = process_time()
    await client.get(path)
    return (process_time() - start) * 1000


async def microseconds(path: str) -> float:
    """Return the CPU time of one request, without a client."""
    headers = [(b"host", b"test")]

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        assert message.get("status", 200) < 500

    start = process_time()
    for _ in range(REQUESTS):
        scope = {"type": "http", "method": "GET", "path": path, "query_string": b""}
        await app({**scope, "headers": headers}, receive, send)
    return (process_time() - start) / REQUESTS * 1e6


async def main() -> None:
    # As `serve` does.
    gc.freeze()
    gc.set_threshold(OBJECTS_UNTIL_COLLECTION)
    last = sys.argv[1]
    transport = ASGITransport(app)
    async with AsyncClient(transport=transport, base_url="http://test") as client:
        created = await client.post(last, json={"name": "Lamp"})
        one = created.headers["Location"]
        costs = {
            "/openapi.json, ms": await milliseconds(client, "/openapi.json"),
            "/readyz the first time, ms": await milliseconds(client, "/readyz"),
            "/readyz again, ms": await milliseconds(client, "/readyz"),
        }
    paths = {"/livez, µs": "/livez", "unknown path, µs": "/unknown"}
    paths |= {"GET one of the last feature, µs": one}
    rounds = [
        {name: await microseconds(path) for name, path in paths.items()}
        for _ in range(ROUNDS)
    ]
    costs |= {name: statistics.median(each[name] for each in rounds) for name in paths}
    await engine.dispose()
    print(json.dumps(costs))


asyncio.run(main())
