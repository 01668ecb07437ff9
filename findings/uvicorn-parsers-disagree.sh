#!/usr/bin/env bash
# uvicorn 0.54.0: what an application sees of a request depends on whether httptools is there.
#
# uvicorn uses httptools where it is installed and h11 elsewhere, without a word. A request in
# absolute form, which RFC 9112 §3.2.2 obliges every server to accept, has the path of its
# target with httptools, and the whole URL as its path with h11, so that no route matches it. A
# method that httptools does not know never reaches the application: the response is uvicorn's
# own 400, in plain text, where h11 lets the application respond, usually with a 405.
#
# Seen on Python 3.11.7 with uvicorn 0.54.0, h11 0.16.0 and httptools 0.9.0:
#   h11:       absolute form "http://lamp.test/on", method BREW 200
#   httptools: absolute form "/on", method BREW 400
#
# Exits with 1 if this is no longer so. Needs uv and a package index, nothing else.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv --quiet "$folder/venv"
uv pip install --quiet --python "$folder/venv/bin/python" \
    uvicorn==0.54.0 h11==0.16.0 httptools==0.9.0

"$folder/venv/bin/python" - <<'PYTHON'
import asyncio

import uvicorn

paths = []


async def app(scope, receive, send):
    paths.append(scope["path"])
    start = {"status": 200, "headers": [(b"content-length", b"0")]}
    await send({"type": "http.response.start", **start})
    await send({"type": "http.response.body", "body": b""})


async def status(port, target):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    end = "HTTP/1.1\r\nHost: lamp.test\r\nConnection: close\r\n\r\n"
    writer.write(f"{target} {end}".encode())
    line = (await reader.read()).split(b"\r\n")[0]
    writer.close()
    return int(line.split()[1])


async def ask(parser):
    config = uvicorn.Config(
        app, port=0, http=parser, lifespan="off", log_level="critical"
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    assert await status(port, "GET http://lamp.test/on") == 200
    seen = paths[-1], await status(port, "BREW /on")
    server.should_exit = True
    await serving
    return seen


async def main():
    return {parser: await ask(parser) for parser in ("h11", "httptools")}


seen = asyncio.run(main())
print(seen)
assert seen == {"h11": ("http://lamp.test/on", 200), "httptools": ("/on", 400)}, seen
PYTHON
