#!/usr/bin/env bash
# SQLAlchemy 2.1.9 with asyncpg: a decimal in a statement is rounded to the places of a column.
#
# asyncpg needs the types of parameters, so SQLAlchemy casts each of them to the type of the
# column that it meets, and for `numeric` this includes the precision. With a Numeric(10, 2),
# PostgreSQL multiplies `price * Decimal("1.055")` by 1.06, so 100 becomes 106.00 instead of
# 105.50, and `price == Decimal("0.996")` finds the rows with a price of 1.00. It is the same
# for IN, BETWEEN, a sum of the column, and arrays. The same statement with psycopg is right: it
# has no cast there. For VARCHAR(5), which would cut a text, SQLAlchemy leaves the length out.
#
# Seen on Python 3.11.7 with SQLAlchemy 2.1.9:
#   asyncpg: price * $1::NUMERIC(10, 2)
#   psycopg: price * %(price_1)s
#   asyncpg: name = $1::VARCHAR
#
# Exits with 1 if this is no longer so. Needs uv and a package index, nothing else.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv --quiet "$folder/venv"
uv pip install --quiet --python "$folder/venv/bin/python" sqlalchemy==2.1.9

"$folder/venv/bin/python" - <<'PYTHON'
from decimal import Decimal

from sqlalchemy import Numeric, String, column
from sqlalchemy.dialects.postgresql import asyncpg, psycopg

raised = column("price", Numeric(10, 2)) * Decimal("1.055")
named = column("name", String(5)) == "a long name"
sql = [
    str(raised.compile(dialect=asyncpg.dialect())),
    str(raised.compile(dialect=psycopg.dialect())),
    str(named.compile(dialect=asyncpg.dialect())),
]
for driver, each in zip(["asyncpg", "psycopg", "asyncpg"], sql, strict=True):
    print(f"{driver}: {each}")
assert sql == [
    "price * $1::NUMERIC(10, 2)",
    "price * %(price_1)s",
    "name = $1::VARCHAR",
]
PYTHON
