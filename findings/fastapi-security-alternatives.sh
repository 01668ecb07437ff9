#!/usr/bin/env bash
# FastAPI 0.165.0: two security schemes that a route requires are documented as alternatives.
#
# Each dependency adds an entry of its own to `security` of the operation. By the OpenAPI
# specification, a client needs to satisfy only one of the entries; schemes that are needed
# together are keys of one entry. Generated clients and the dialog of Swagger UI therefore
# accept one of them, and the route refuses the request. Entries of `openapi_extra` are
# appended to this list too, so they cannot correct it (fastapi/fastapi#2835).
#
# Seen on Python 3.11.7 with FastAPI 0.165.0:
#   documented: [{'APIKeyHeader': []}, {'HTTPBearer': []}, {'APIKeyHeader': [], 'HTTPBearer': []}]
#   with only a key: 401
#   with both:       200
#
# Exits with 1 if this is no longer so. Needs uv and a package index, nothing else.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv --quiet "$folder/venv"
uv pip install --quiet --python "$folder/venv/bin/python" fastapi==0.165.0 starlette==1.10.0 httpx2==2.16.2

"$folder/venv/bin/python" - <<'PYTHON'
from fastapi import FastAPI, Security
from fastapi.security import APIKeyHeader, HTTPBearer
from fastapi.testclient import TestClient

app = FastAPI()
both = {"APIKeyHeader": [], "HTTPBearer": []}
needed = [Security(APIKeyHeader(name="X-Key")), Security(HTTPBearer())]


@app.get("/", dependencies=needed, openapi_extra={"security": [both]})
def read() -> None: ...


client = TestClient(app)
documented = app.openapi()["paths"]["/"]["get"]["security"]
key, token = {"X-Key": "k"}, {"Authorization": "Bearer t"}
statuses = [client.get("/", headers=h).status_code for h in (key, key | token)]
print("documented:", documented)
print("with only a key:", statuses[0])
print("with both:      ", statuses[1])
assert documented == [{"APIKeyHeader": []}, {"HTTPBearer": []}, both]
assert statuses == [401, 200]
PYTHON
