#!/usr/bin/env bash
# Starlette 1.10.0: a static file that changed is a 304 if its size and time are the same.
#
# The ETag of StaticFiles and FileResponse is not made from the content. It is a digest of the
# time and the size of the file, and is sent as a strong one, which promises equal bytes. Builds
# that can be reproduced give each file the same time, as SOURCE_DATE_EPOCH with BuildKit, Nix
# or Bazel do. If a release then changes a port, a date or a flag from 1 to 0 in a script, the size
# stays too, and browsers keep the old file after asking for the new one.
#
# Seen on Python 3.11.7 with Starlette 1.10.0:
#   before: 200 'let beta = 0'
#   after:  304, though the file is 'let beta = 1'
#
# Exits with 1 if this is no longer so. Needs uv and a package index, nothing else.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv --quiet "$folder/venv"
uv pip install --quiet --python "$folder/venv/bin/python" starlette==1.10.0 httpx2==2.16.2
mkdir "$folder/static"

"$folder/venv/bin/python" - "$folder/static" <<'PYTHON'
import asyncio
import os
import sys
from pathlib import Path

from httpx2 import ASGITransport, AsyncClient
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

file = Path(sys.argv[1], "flags.js")
app = Starlette(routes=[Mount("/static", StaticFiles(directory=file.parent))])


def release(text):
    file.write_text(text)
    os.utime(file, (0, 0))


async def main():
    transport = ASGITransport(app)
    async with AsyncClient(transport=transport, base_url="http://example.com") as client:
        release("let beta = 0")
        before = await client.get("/static/flags.js")
        release("let beta = 1")
        known = {"If-None-Match": before.headers["etag"]}
        after = await client.get("/static/flags.js", headers=known)
    print("before:", before.status_code, repr(before.text))
    print("after: ", after.status_code, "though the file is", repr(file.read_text()))
    assert before.text == "let beta = 0"
    assert not before.headers["etag"].startswith("W/")
    assert after.status_code == 304


asyncio.run(main())
PYTHON
