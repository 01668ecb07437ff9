#!/usr/bin/env bash
# SQLAlchemy 2.1.9: executing a statement adds a key to the caller's own schema_translate_map.
#
# With a map that has the key None, the usual one for a schema per tenant, the first statement
# that is rendered with it stores the entry again under the key "_none", in the dictionary
# that was passed in. Who goes through the map afterwards, for example to create or to drop
# the schema of each entry, finds a schema that nobody named. The documentation does not
# mention it.
#
# Seen on Python 3.11.7 with SQLAlchemy 2.1.9, on SQLite in memory:
#   before: {None: 'main'}
#   after:  {None: 'main', '_none': 'main'}
#
# Exits with 1 if this is no longer so. Needs uv and a package index, nothing else.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv --quiet "$folder/venv"
uv pip install --quiet --python "$folder/venv/bin/python" sqlalchemy==2.1.9

"$folder/venv/bin/python" - <<'PYTHON'
from sqlalchemy import Column, Integer, MetaData, Table, create_engine, select

table = Table("lamp", MetaData(), Column("id", Integer))
schemas = {None: "main"}
print("before:", schemas)
with create_engine("sqlite://").connect() as connection:
    connection = connection.execution_options(schema_translate_map=schemas)
    table.create(connection)
    connection.execute(select(table))
print("after: ", schemas)
assert schemas == {None: "main", "_none": "main"}
PYTHON
