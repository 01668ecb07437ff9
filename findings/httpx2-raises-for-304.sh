#!/usr/bin/env bash
# httpx2 2.16.2: `raise_for_status` raises for 304 Not Modified, as for a redirect.
#
# A 304 is the success of a conditional request: the client sent If-None-Match and may use what
# it has. `raise_for_status` of requests and of aiohttp lets everything below 400 pass. That of
# httpx2 raises for each status that is not 2xx, and calls a 304 a "Redirect response", though
# it has no Location. Code with an ETag that calls it after each request, as an event hook does,
# works until the first time that nothing has changed.
#
# Seen on Python 3.11.7 with httpx2 2.16.2 and requests 2.34.2:
#   httpx2:   HTTPStatusError: Redirect response '304 Not Modified' for url 'http://example.com'
#   requests: no error
#
# Exits with 1 if this is no longer so. Needs uv and a package index, nothing else.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv --quiet "$folder/venv"
uv pip install --quiet --python "$folder/venv/bin/python" httpx2==2.16.2 requests==2.34.2

"$folder/venv/bin/python" - <<'PYTHON'
import httpx2
import requests

request = httpx2.Request("GET", "http://example.com", headers={"If-None-Match": '"1"'})
response = httpx2.Response(304, headers={"ETag": '"1"'}, request=request)
assert not response.has_redirect_location
try:
    response.raise_for_status()
except httpx2.HTTPStatusError as error:
    print("httpx2:  ", f"{type(error).__name__}: {error}".splitlines()[0])
else:
    raise AssertionError("no error")

other = requests.Response()
other.status_code = 304
other.raise_for_status()
print("requests: no error")
PYTHON
