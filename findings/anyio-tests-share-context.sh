#!/usr/bin/env bash
# anyio 4.16.0: a context variable that a test sets is still set in the next test.
#
# In asyncio each task has a copy of the context, and pytest-asyncio runs each test in a task of
# its own. The pytest plugin of anyio runs tests and fixtures in one task, so that tests see the
# context variables of fixtures, and keeps it while any asynchronous fixture lives. With one of
# the scope "session", such as a migrated database, that is the whole run: what a request of a
# test binds with structlog, or as the request id, is there in every later test, in whatever
# file. A test can pass only because another one ran before it, and fail alone.
#
# Seen on Python 3.11.7 with anyio 4.16.0, pytest-asyncio 1.4.0 and pytest 9.2.0:
#   anyio:          first sets 'first', second sees 'first'
#   pytest-asyncio: first sets 'first', second sees None
#
# Exits with 1 if this is no longer so. Needs uv and a package index, nothing else.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for plugin in anyio==4.16.0 pytest-asyncio==1.4.0; do
    uv venv --quiet "$folder/$plugin"
    uv pip install --quiet --python "$folder/$plugin/bin/python" "$plugin" pytest==9.2.0
done

cat >"$folder/test_context.py" <<'PYTHON'
from contextvars import ContextVar

import pytest

try:
    from pytest_asyncio import fixture
except ImportError:
    from pytest import fixture

request_id = ContextVar("request_id", default=None)


@pytest.fixture(scope="session")
def anyio_backend():
    return "asyncio"


@fixture(scope="session", autouse=True)
async def database(anyio_backend):
    yield


async def test_first():
    request_id.set("first")


async def test_second():
    print("second sees", repr(request_id.get()))
PYTHON

run() {
    plugin=$1 && shift
    (cd "$folder" && "$plugin/bin/python" -m pytest -q -s -p no:cacheprovider "$@" 2>/dev/null) |
        grep -o "second sees .*"
}
with_anyio=$(run anyio==4.16.0 -o anyio_mode=auto)
with_asyncio=$(run pytest-asyncio==1.4.0 -o asyncio_mode=auto \
    -o asyncio_default_test_loop_scope=session -o asyncio_default_fixture_loop_scope=session)
echo "anyio:          first sets 'first', $with_anyio"
echo "pytest-asyncio: first sets 'first', $with_asyncio"
test "$with_anyio" = "second sees 'first'"
test "$with_asyncio" = "second sees None"
