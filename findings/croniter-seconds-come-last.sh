#!/usr/bin/env bash
# croniter 7.0.0: with six fields, the seconds are the last one and not the first.
#
# Quartz, Spring and the usual parser of Go put the seconds of a schedule first. There
# "0 5 3 * * *" means five past three, every day. croniter reads the first field as the minute,
# the second as the hour and the third as the day of the month: it is five o'clock on the third
# of each month, and then sixty times, once in every second of that minute. The expression is
# valid for both, so nothing complains where a schedule is moved to Procrastinate, Airflow or
# whatever else uses croniter.
#
# Seen on Python 3.11.7 with croniter 7.0.0, from 2026-01-01 00:00:
#   5 fields, "5 3 * * *":   Jan 01 03:05:00, Jan 02 03:05:00
#   6 fields, "0 5 3 * * *": Jan 03 05:00:00, Jan 03 05:00:01; 60 times a month
#
# Exits with 1 if this is no longer so. Needs uv and a package index, nothing else.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv --quiet "$folder/venv"
uv pip install --quiet --python "$folder/venv/bin/python" croniter==7.0.0

"$folder/venv/bin/python" - <<'PYTHON'
from datetime import datetime, timedelta
from itertools import takewhile

from croniter import croniter

START = datetime(2026, 1, 1)


def times(expression):
    month = takewhile(
        lambda time: time < START + timedelta(days=31),
        croniter(expression, START, ret_type=datetime),
    )
    return [time.strftime("%b %d %H:%M:%S") for time in month]


five, six = times("5 3 * * *"), times("0 5 3 * * *")
print("5 fields:", five[:2], len(five))
print("6 fields:", six[:2], len(six))
assert five[:2] == ["Jan 01 03:05:00", "Jan 02 03:05:00"]
assert len(five) == 31
assert six[:2] == ["Jan 03 05:00:00", "Jan 03 05:00:01"]
assert len(six) == 60
PYTHON
