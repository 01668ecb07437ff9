#!/usr/bin/env bash
# Python 3.11.7: dictConfig resets loggers that it is not given, whatever it is told.
#
# With `disable_existing_loggers` set to False, which is known to leave existing loggers alone,
# `logging.config.dictConfig` still sets every existing logger below a configured one back to
# NOTSET, removes its handlers and lets it propagate. A level that a module sets for its own
# logger when it is imported is lost if the log is configured afterwards and the configuration
# names the package. A logger beside the configured ones keeps all it has, and so does the
# level of a child if the configuration is `incremental`.
#
# Seen on Python 3.11.7:
#   "app.lamps" below the configured "app": NOTSET, 0 handlers
#   "other.lamps" beside it:                ERROR, 1 handler
#
# Exits with 1 if this is no longer so. Needs uv and Python 3.11.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv --quiet --python 3.11 "$folder/venv"

"$folder/venv/bin/python" - <<'PYTHON'
import logging
import logging.config

names = ("app.lamps", "other.lamps")
for name in names:
    logger = logging.getLogger(name)
    logger.setLevel(logging.ERROR)
    logger.addHandler(logging.NullHandler())

logging.config.dictConfig(
    {
        "version": 1,
        "disable_existing_loggers": False,
        "loggers": {"app": {"level": "INFO"}},
    }
)

seen = {}
for name in names:
    logger = logging.getLogger(name)
    seen[name] = (logging.getLevelName(logger.level), len(logger.handlers))
print(seen)
assert seen == {"app.lamps": ("NOTSET", 0), "other.lamps": ("ERROR", 1)}, seen
PYTHON
