"""The limit: ASGI by hand and SQL on a pool of asyncpg, with nothing in between."""

import os
import uuid

import asyncpg
from pydantic_core import from_json, to_json
from uuid_utils.compat import uuid7

COLUMNS = "id, name, description, quantity, version, created_at, updated_at"
ONE = f"SELECT {COLUMNS} FROM item WHERE id = $1"
PAGE = f"SELECT {COLUMNS} FROM item ORDER BY created_at, id LIMIT $1"
ADD = (
    "INSERT INTO item (id, name, description, quantity, version) "
    "VALUES ($1, $2, $3, $4, 1) "
    f"RETURNING {COLUMNS}"
)

pool = None


async def no_reset(connection):
    """Keep asyncpg from asking the server to reset what nobody has changed."""


async def lifespan(receive, send):
    global pool
    await receive()
    pool = await asyncpg.create_pool(os.environ["DATABASE_URL"], reset=no_reset)
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await pool.close()
    await send({"type": "lifespan.shutdown.complete"})


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    path, status = scope["path"], 200
    if scope["method"] == "POST":
        new = from_json((await receive())["body"])
        row = await pool.fetchrow(
            ADD, uuid7(), new["name"], new.get("description"), new.get("quantity", 0)
        )
        answer, status = dict(row), 201
    elif path == "/items":
        limit = int(scope["query_string"].removeprefix(b"limit="))
        items = [dict(row) for row in await pool.fetch(PAGE, limit)]
        answer = {"items": items, "next": None}
    elif path.startswith("/items/"):
        answer = dict(await pool.fetchrow(ONE, uuid.UUID(path[7:])))
    else:
        answer = {"service": "Benchmark", "version": "1.0"}
    body = to_json(answer)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
