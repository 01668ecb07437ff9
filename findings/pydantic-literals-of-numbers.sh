#!/usr/bin/env bash
# Pydantic 2.14.4: a Literal of numbers accepts true and 1.0, though not "1".
#
# A Literal looks like the strictest type there is: it refuses "1" for 1, which `int` accepts.
# But it looks values up as Python does, where True == 1 == 1.0. The JSON Schema of the same
# model says {"enum": [1, 2]}, by which `true` is an error, so a client's validator and the
# server disagree. The other way round, Literal[True], as for "the terms were accepted", accepts
# 1 and 1.0. The value that arrives is that of the Literal.
#
# Seen on Python 3.11.7 with pydantic 2.14.4:
#   Literal[1, 2]: true -> 1, 1.0 -> 1, "1" refused
#   Literal[True]: 1 -> True, 1.0 -> True, "true" refused
#
# Exits with 1 if this is no longer so. Needs uv and a package index, nothing else.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv --quiet "$folder/venv"
uv pip install --quiet --python "$folder/venv/bin/python" pydantic==2.14.4

"$folder/venv/bin/python" - <<'PYTHON'
from typing import Literal

from pydantic import TypeAdapter, ValidationError


def read(kind, sent):
    try:
        return repr(TypeAdapter(kind).validate_json(sent))
    except ValidationError:
        return "refused"


grades = {sent: read(Literal[1, 2], sent) for sent in ("true", "1.0", '"1"')}
terms = {sent: read(Literal[True], sent) for sent in ("1", "1.0", '"true"')}
print("Literal[1, 2]:", grades)
print("Literal[True]:", terms)
assert grades == {"true": "1", "1.0": "1", '"1"': "refused"}, grades
assert terms == {"1": "True", "1.0": "True", '"true"': "refused"}, terms
PYTHON
