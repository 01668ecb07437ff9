#!/usr/bin/env bash
# pydantic-settings 2.16.3: the keys of a dictionary that variables set are in lower case.
#
# With `env_nested_delimiter="__"`, LABELS__Region=eu sets an entry of the field LABELS. Names of
# settings are compared without case by default, so LABELS may be written in any case. But the
# rest of the name is no name of a setting: it is the key of a dictionary, and it arrives as
# "region". A map of HTTP headers, labels or feature flags is looked up in vain. The same
# dictionary as JSON keeps its keys, and where both are set, there are two entries. With
# `case_sensitive=True` the key stays, but then the name of each setting has to match too.
#
# Seen on Python 3.11.7 with pydantic-settings 2.16.3 and Pydantic 2.14.4:
#   LABELS__Region=eu:                          {'region': 'eu'}
#   LABELS={"Region": "us"}:                    {'Region': 'us'}
#   LABELS={"Region": "us"}, LABELS__Region=eu: {'Region': 'us', 'region': 'eu'}
#
# Exits with 1 if this is no longer so. Needs uv and a package index, nothing else.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv --quiet "$folder/venv"
uv pip install --quiet --python "$folder/venv/bin/python" \
    pydantic==2.14.4 pydantic-settings==2.16.3

cat >"$folder/labels.py" <<'PYTHON'
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_nested_delimiter="__")

    LABELS: dict[str, str] = {}


print(Settings().LABELS)
PYTHON

labels() { env -i "$@" "$folder/venv/bin/python" "$folder/labels.py"; }
nested=$(labels LABELS__Region=eu)
json=$(labels 'LABELS={"Region": "us"}')
both=$(labels 'LABELS={"Region": "us"}' LABELS__Region=eu)
echo "nested: $nested"
echo "JSON:   $json"
echo "both:   $both"
test "$nested" = "{'region': 'eu'}"
test "$json" = "{'Region': 'us'}"
test "$both" = "{'Region': 'us', 'region': 'eu'}"
