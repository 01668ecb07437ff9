#!/usr/bin/env bash
# Pydantic 2.14.4: reads what Python prints for a negative timedelta as another duration.
#
# Python normalizes a timedelta to negative days and a positive rest, and prints -23 hours
# as "-1 day, 1:00:00". A field of the type timedelta accepts this text, without strict mode
# and without an error, but applies the sign to the whole of it: -25 hours. What is printed
# without a sign, and whole negative days, are read as they were meant, so a test with one
# of these does not show it. PostgreSQL reads the same text as -23 hours.
#
# Seen on Python 3.11.7 with Pydantic 2.14.4:
#   23:00:00            printed as "23:00:00"          read as 23:00:00
#   -23:00:00           printed as "-1 day, 1:00:00"   read as -25:00:00
#   -24:00:00           printed as "-1 day, 0:00:00"   read as -24:00:00
#
# Exits with 1 if this is no longer so. Needs uv and a package index, nothing else.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv --quiet "$folder/venv"
uv pip install --quiet --python "$folder/venv/bin/python" pydantic==2.14.4

"$folder/venv/bin/python" - <<'PYTHON'
from datetime import timedelta

from pydantic import TypeAdapter

adapter = TypeAdapter(timedelta)
seen = {}
for hours in (23, -23, -24):
    printed = str(timedelta(hours=hours))
    seen[hours] = adapter.validate_python(printed) / timedelta(hours=1)
    print(f"{hours} hours, printed as {printed!r}, are read as {seen[hours]:.0f} hours")
assert seen == {23: 23, -23: -25, -24: -24}, seen
PYTHON
