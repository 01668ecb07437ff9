#!/usr/bin/env bash
# Pydantic 2.14.4: timestamps in JSON do not sort as text in the order of time.
#
# RFC 3339 timestamps with the same zone are often compared as text: by a client that keeps the
# newest, a log that is sorted by line, an object store with timestamps as keys. Pydantic leaves
# the fraction out of an instant without microseconds and writes six digits otherwise, and "."
# comes before "Z". So the first instant of each second sorts after the rest of that second.
# Python's isoformat leaves the fraction out too, but its "+00:00" comes before ".", so that
# the same four values are in order there.
#
# Seen on Python 3.11.7 with pydantic 2.14.4, for 0 µs, 1 µs, 0.5 s and 1 s, sorted as text:
#   pydantic:  ['00.000001Z', '00.500000Z', '00Z', '01Z']
#   isoformat: ['00+00:00', '00.000001+00:00', '00.500000+00:00', '01+00:00']
#
# Exits with 1 if this is no longer so. Needs uv and a package index, nothing else.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv --quiet "$folder/venv"
uv pip install --quiet --python "$folder/venv/bin/python" pydantic==2.14.4

"$folder/venv/bin/python" - <<'PYTHON'
from datetime import UTC, datetime, timedelta

from pydantic import TypeAdapter

midnight = datetime(2026, 1, 1, tzinfo=UTC)
instants = [midnight + timedelta(microseconds=n) for n in (0, 1, 500_000, 1_000_000)]
adapter = TypeAdapter(datetime)
written = [adapter.dump_python(instant, mode="json") for instant in instants]
seconds = [text.removeprefix("2026-01-01T00:00:") for text in sorted(written)]
print("pydantic: ", seconds)
assert seconds == ["00.000001Z", "00.500000Z", "00Z", "01Z"], seconds

written = [instant.isoformat() for instant in instants]
print("isoformat:", [text.removeprefix("2026-01-01T00:00:") for text in sorted(written)])
assert sorted(written) == written
PYTHON
