#!/usr/bin/env bash
# pydantic-settings 2.16.3: of two variables that differ in case, the later one wins.
#
# Names are matched without regard to case by default. Where a field's exact name and the same
# name in another case are both set, the exact one does not win. What counts is their order in
# the environment of the process, which nobody sees and which differs between a shell, Compose
# and a pod. The same variables then configure a service differently.
#
# Seen on Python 3.11.7 with pydantic-settings 2.16.3, for the field DATABASE_URL:
#   DATABASE_URL=exact, then database_url=other: other
#   database_url=other, then DATABASE_URL=exact: exact
#
# Exits with 1 if this is no longer so. Needs uv and a package index, nothing else.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv --quiet "$folder/venv"
uv pip install --quiet --python "$folder/venv/bin/python" \
    pydantic-settings==2.16.3 pydantic==2.14.4

program='
from pydantic_settings import BaseSettings
class Settings(BaseSettings):
    DATABASE_URL: str
print(Settings().DATABASE_URL)
'
first=$(env -i DATABASE_URL=exact database_url=other "$folder/venv/bin/python" -c "$program")
last=$(env -i database_url=other DATABASE_URL=exact "$folder/venv/bin/python" -c "$program")
echo "exact name first: $first; exact name last: $last"
test "$first" = other
test "$last" = exact
