#!/usr/bin/env bash
# Pydantic 2.14.4: values of a JSON object vanish where their keys are the same number.
#
# A `dict[int, …]` parses its keys, and different texts may be the same int: "1", "01", "1.0".
# The last one wins, and nothing is reported. The JSON is valid and has no duplicate keys, so no
# linter or gateway objects either. It is the same for every type of key that has more than one
# form, such as UUID and Decimal. A list of objects with an id, or a key type `str` with a
# pattern, loses nothing.
#
# Seen on Python 3.11.7 with pydantic 2.14.4:
#   dict[int, str], 3 entries: {1: 'third'}
#   dict[UUID, str], 2 entries with and without hyphens: 1 entry
#
# Exits with 1 if this is no longer so. Needs uv and a package index, nothing else.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv --quiet "$folder/venv"
uv pip install --quiet --python "$folder/venv/bin/python" pydantic==2.14.4

"$folder/venv/bin/python" - <<'PYTHON'
from uuid import UUID

from pydantic import TypeAdapter

sent = '{"1": "first", "01": "second", "1.0": "third"}'
numbers = TypeAdapter(dict[int, str]).validate_json(sent)
print("dict[int, str]: ", numbers)
assert numbers == {1: "third"}, numbers

lamp = UUID("018f4d2e-0000-7000-8000-000000000001")
sent = f'{{"{lamp}": "on", "{lamp.hex}": "off"}}'
lamps = TypeAdapter(dict[UUID, str]).validate_json(sent)
print("dict[UUID, str]:", list(lamps.values()))
assert lamps == {lamp: "off"}, lamps
PYTHON
