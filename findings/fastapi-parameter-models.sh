#!/usr/bin/env bash
# FastAPI 0.165.0: the 129th model used as `Query()` breaks the OpenAPI document.
#
# A model of parameters (`Annotated[Model, Query()]`, also `Header()` and `Cookie()`) is
# documented and read through `fastapi._compat.v2.get_cached_model_fields`, an lru_cache
# with the default size of 128. The OpenAPI document finds the schema of a field by the
# identity of its object. With more models than the cache holds, the second pass over the
# routes gets new objects, and the document fails with a KeyError. Requests that go round
# all routes build the fields of their model, and a validator for each, every time.
#
# Seen on Python 3.11.7 with FastAPI 0.165.0 and Pydantic 2.14.4:
#   128 models: document ok
#   129 models: document KeyError
#   per request: 367 microseconds with 128 models, 940 with 129
#
# Exits with 1 if the document is no longer as seen. Needs uv and a package index, nothing else.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv --quiet "$folder/venv"
uv pip install --quiet --python "$folder/venv/bin/python" \
    fastapi==0.165.0 pydantic==2.14.4

"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import time
from typing import Annotated

from fastapi import FastAPI, Query
from pydantic import create_model


def application(count):
    app = FastAPI()
    for number in range(count):
        model = create_model(
            f"Query{number}", limit=(int, 20), cursor=(str | None, None), name=(str, "")
        )

        async def get(query):
            return None

        get.__annotations__["query"] = Annotated[model, Query()]
        app.get(f"/{number}")(get)
    return app


def document(app):
    try:
        app.openapi()
    except KeyError:
        return "KeyError"
    return "ok"


async def request(app, number):
    async def receive():
        return {"type": "http.request", "body": b""}

    async def send(message):
        assert message.get("status", 200) == 200

    path = f"/{number}"
    scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode()}
    scope |= {"query_string": b"limit=3", "headers": [], "root_path": "", "scheme": "http"}
    scope |= {"server": ("test", 80), "client": ("test", 1), "http_version": "1.1"}
    await app(scope, receive, send)


async def seconds(app, count):
    """Return the time of a request in the fastest of five rounds over all routes."""
    for number in range(count):
        await request(app, number)
    rounds = []
    for _ in range(5):
        start = time.perf_counter()
        for number in range(count):
            await request(app, number)
        rounds.append(time.perf_counter() - start)
    return min(rounds) / count


results = {count: document(application(count)) for count in (128, 129)}
for count, result in results.items():
    print(f"{count} models: document {result}")
few, many = (asyncio.run(seconds(application(count), count)) for count in (128, 129))
print(
    f"per request: {few * 1e6:.0f} microseconds with 128 models, "
    f"{many * 1e6:.0f} with 129"
)
assert results == {128: "ok", 129: "KeyError"}, results
PYTHON
