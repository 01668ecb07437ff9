#!/usr/bin/env bash
# SQLAlchemy 2.1.9: `//` of two integers rounds towards zero, of other numbers downwards.
#
# In Python, `//` rounds downwards: -7 // 2 is -4. For integers, SQLAlchemy writes a plain `/`,
# since its dialects say that the database "treats the / division operator as floor division".
# PostgreSQL and SQLite do not, they cut the fraction off: -3. As soon as one operand is no
# integer, SQLAlchemy writes FLOOR(…), and the result is -4. So a bucket of negative numbers is
# off by one, is not that of the same expression in Python, and changes with a column's type.
#
# Seen on Python 3.11.7 with SQLAlchemy 2.1.9, on SQLite in memory:
#   Python:                 -4
#   integer // integer:     -3, on PostgreSQL: a / b
#   integer // numeric:     -4, on PostgreSQL: FLOOR(a / c)
#
# Exits with 1 if this is no longer so. Needs uv and a package index, nothing else.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv --quiet "$folder/venv"
uv pip install --quiet --python "$folder/venv/bin/python" sqlalchemy==2.1.9

"$folder/venv/bin/python" - <<'PYTHON'
from sqlalchemy import Integer, Numeric, column, create_engine, literal, select
from sqlalchemy.dialects import postgresql

a, b, c = column("a", Integer), column("b", Integer), column("c", Numeric)
integers = str((a // b).compile(dialect=postgresql.dialect()))
numbers = str((a // c).compile(dialect=postgresql.dialect()))
with create_engine("sqlite://").connect() as connection:
    of_integers = connection.scalar(select(literal(-7) // 2))
    of_numbers = connection.scalar(select(literal(-7) // 2.0))
print("Python:            ", -7 // 2)
print("integer // integer:", of_integers, "on PostgreSQL:", integers)
print("integer // numeric:", of_numbers, "on PostgreSQL:", numbers)
assert (of_integers, integers) == (-3, "a / b")
assert (of_numbers, numbers) == (-4, "FLOOR(a / c)")
PYTHON
