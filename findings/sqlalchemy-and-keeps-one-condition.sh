#!/usr/bin/env bash
# SQLAlchemy 2.1.9: `and` between two comparisons with == keeps the first, `or` the second.
#
# Most expressions refuse to be used as a truth value: `a > 1 and b > 1` is a TypeError that says
# so. But == and != have one, so that columns can be compared in Python: it tells whether both
# sides are the same object. For a column and a value it is false for == and true for !=. So
# `owner == "ann" and open == True` is the condition on the owner alone, and with != in front it
# is the second one alone. Rows are found that should not be, without an error or a warning; ruff
# 0.17.6 and ty 0.0.108 let it pass too. `owner in ["ann"]` and `owner is None` are plain False,
# which ty reports: no rows. Write a comma or `&`, and `in_`.
#
# Seen on Python 3.11.7 with SQLAlchemy 2.1.9:
#   owner == "ann" and open == True: WHERE owner = :owner_1
#   owner == "ann" or open == True:  WHERE open = true
#   owner != "ann" and open == True: WHERE open = true
#   owner in ["ann"]:                WHERE false
#   owner > "ann" and open == True:  TypeError
#
# Exits with 1 if this is no longer so. Needs uv and a package index, nothing else.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv --quiet "$folder/venv"
uv pip install --quiet --python "$folder/venv/bin/python" sqlalchemy==2.1.9

"$folder/venv/bin/python" - <<'PYTHON'
from sqlalchemy import Boolean, String, column, select

owner, open = column("owner", String), column("open", Boolean)
CONDITIONS = {
    'owner == "ann" and open == True': "owner = :owner_1",
    'owner == "ann" or open == True': "open = true",
    'owner != "ann" and open == True': "open = true",
    'owner in ["ann"]': "false",
    "owner is None": "false",
    'owner > "ann" and open == True': None,
}
for condition, expected in CONDITIONS.items():
    try:
        where = str(select(owner).where(eval(condition))).partition("WHERE ")[2]
        print(f"{condition}: WHERE {where}")
    except TypeError as error:
        where = None
        print(f"{condition}: TypeError: {error}")
    assert where == expected, where
PYTHON
