#!/usr/bin/env bash
# Pydantic 2.14.4: writes 400 days in JSON as "P1Y35D", which others read as another duration.
#
# The ISO 8601 text of a timedelta uses a year of 365 days as a unit. ISO 8601 itself gives a
# year no fixed length, so a reader with a calendar adds 401 days in a leap year, and one that
# counts in days alone cannot read it. Pydantic reads its own text back, so no round trip
# within Python shows it. Any timedelta from 365 days on is written in this way.
#
# Seen on Python 3.11.7 with Pydantic 2.14.4 and isodate 0.7.2:
#   364 days -> "P364D"
#   400 days -> "P1Y35D"; from 2024-01-01 on 401 days by isodate, 400 from 2025-01-01 on
#   isodate gives a Duration for it, which has no number of seconds
#
# Exits with 1 if this is no longer so. Needs uv and a package index, nothing else.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv --quiet "$folder/venv"
uv pip install --quiet --python "$folder/venv/bin/python" pydantic==2.14.4 isodate==0.7.2

"$folder/venv/bin/python" - <<'PYTHON'
from datetime import date, timedelta

from isodate import parse_duration
from pydantic import TypeAdapter

adapter = TypeAdapter(timedelta)
written = {
    days: adapter.dump_json(timedelta(days)).decode().strip('"') for days in (364, 400)
}
read = parse_duration(written[400])
days = {
    year: ((date(year, 1, 1) + read) - date(year, 1, 1)).days for year in (2024, 2025)
}
print(written, type(read).__name__, days)
assert written == {364: "P364D", 400: "P1Y35D"}
assert not isinstance(read, timedelta)
assert days == {2024: 401, 2025: 400}
assert adapter.validate_python(written[400]) == timedelta(400)
PYTHON
