#!/usr/bin/env bash
# SQLAlchemy 2.1.9: a colon in the SQL of a table becomes NULL, even in quotes.
#
# In a statement, `text("name <> ':none'")` has a parameter `none`, and running it without one
# is an error that says so. The same text in a CHECK constraint, a server default, a generated
# column or the condition of an index is rendered without an error: where the parameter is, there
# is NULL. So a constraint lets through what it should refuse, and compact JSON is no JSON any
# more. Alembic writes the changed text into the revision. The way out is a backslash before the
# colon. A colon behind a letter or a digit, as in 'a:b' or '08:30', stays.
#
# Seen on Python 3.11.7 with SQLAlchemy 2.1.9:
#   CHECK (name <> 'NULL')
#   DEFAULT '{"a"NULL}'::jsonb
#   CREATE INDEX ix ON lamp (name) WHERE name <> 'NULL'
#   a statement: A value is required for bind parameter 'none'
#
# Exits with 1 if this is no longer so. Needs uv and a package index, nothing else.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv --quiet "$folder/venv"
uv pip install --quiet --python "$folder/venv/bin/python" sqlalchemy==2.1.9

"$folder/venv/bin/python" - <<'PYTHON'
from sqlalchemy import CheckConstraint, Column, Index, MetaData, Table, Text, create_engine, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import StatementError
from sqlalchemy.schema import CreateIndex, CreateTable

DIALECT = postgresql.dialect()
CONDITION = "name <> ':none'"

table = Table(
    "lamp",
    MetaData(),
    Column("name", Text),
    Column("data", JSONB, server_default=text("""'{"a":1}'::jsonb""")),
    CheckConstraint(CONDITION),
)
index = Index("ix", table.c.name, postgresql_where=text(CONDITION))
created = str(CreateTable(table).compile(dialect=DIALECT))
indexed = str(CreateIndex(index).compile(dialect=DIALECT))
print(created.strip())
print(indexed)
assert "CHECK (name <> 'NULL')" in created
assert """DEFAULT '{"a"NULL}'::jsonb""" in created
assert indexed.endswith("WHERE name <> 'NULL'")

try:
    create_engine("sqlite://").connect().execute(text(f"SELECT {CONDITION}"))
except StatementError as error:
    print("a statement:", error.orig)
    assert "A value is required for bind parameter 'none'" in str(error)
else:
    raise AssertionError("no error")
PYTHON
