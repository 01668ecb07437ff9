#!/usr/bin/env bash
# httpx2 2.16.2: parameters of a client take away the query of the URL that it is given.
#
# Those of the client and those of a request are merged. But the query of the URL itself is
# replaced, all of it, whatever the names. So a client with a default `limit` that follows the
# link to the next page, whose cursor is in its query, gets the first page again, with a 200,
# and again. An empty dictionary takes the query away too. In requests, `params` are added.
#
# Seen on Python 3.11.7 with httpx2 2.16.2 and requests 2.34.2:
#   httpx2, a client with limit=2, get("/lamps?cursor=abc"):  /lamps?limit=2
#   httpx2, get("/lamps?cursor=abc", params={"limit": 2}):    /lamps?limit=2
#   httpx2, get("/lamps?cursor=abc", params={}):              /lamps
#   httpx2, both of them with parameters, no query:           /lamps?limit=2&cursor=abc
#   requests, get("/lamps?cursor=abc", params={"limit": 2}):  /lamps?cursor=abc&limit=2
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

BASE, NEXT = "http://example.com", "/lamps?cursor=abc"


def asked(url=NEXT, default=None, **options):
    with httpx2.Client(base_url=BASE, params=default) as client:
        return client.build_request("GET", url, **options).url.raw_path.decode()


by_client = asked(default={"limit": 2})
by_request = asked(params={"limit": 2})
by_nothing = asked(params={})
by_both = asked("/lamps", default={"limit": 2}, params={"cursor": "abc"})
by_requests = requests.Request("GET", BASE + NEXT, params={"limit": 2}).prepare().path_url
print("httpx2, of the client: ", by_client)
print("httpx2, of the request:", by_request)
print("httpx2, empty:         ", by_nothing)
print("httpx2, of both:       ", by_both)
print("requests:              ", by_requests)
assert by_client == by_request == "/lamps?limit=2"
assert by_nothing == "/lamps"
assert by_both == "/lamps?limit=2&cursor=abc"
assert by_requests == "/lamps?cursor=abc&limit=2"
PYTHON
