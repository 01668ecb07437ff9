#!/usr/bin/env bash
# Procrastinate 3.10.0: `max_attempts=3` runs a job four times.
#
# `RetryStrategy(max_attempts=…)` counts the attempts after the first one. The number that a
# worker logs, and the column `attempts`, count all that have ended, so a job that was given up
# has one more than the strategy allows. Nor do the three ways to wait begin alike: before the
# first retry, `wait=5` is 5 seconds, `linear_wait=5` is none, and `exponential_wait=5` is 5,
# then 25 and 125, since the parameter is the base and not the first pause.
#
# Seen on Python 3.11.7 with Procrastinate 3.10.0, in memory:
#   max_attempts=3: 4 runs
#   pauses with wait=5:             [5, 5, 5]
#   pauses with linear_wait=5:      [0, 5, 10]
#   pauses with exponential_wait=5: [5, 25, 125]
#
# Exits with 1 if this is no longer so. Needs uv and a package index, nothing else.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv --quiet "$folder/venv"
uv pip install --quiet --python "$folder/venv/bin/python" procrastinate==3.10.0

"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import logging
from datetime import UTC, datetime

from procrastinate import App, RetryStrategy
from procrastinate.jobs import Job
from procrastinate.testing import InMemoryConnector

logging.disable(logging.CRITICAL)
app = App(connector=InMemoryConnector())
runs = []


@app.task(name="test.fails", retry=RetryStrategy(max_attempts=3))
async def fails():
    runs.append(1)
    raise ValueError


async def main():
    await fails.defer_async()
    await app.run_worker_async(wait=False, install_signal_handlers=False)


def pauses(**options):
    strategy = RetryStrategy(max_attempts=3, **options)
    seconds = []
    for attempts in range(3):
        job = Job(
            id=1, queue="q", lock=None, queueing_lock=None, task_name="t", attempts=attempts
        )
        decision = strategy.get_retry_decision(exception=ValueError(), job=job)
        seconds.append(round((decision.retry_at - datetime.now(UTC)).total_seconds()))
    return seconds


asyncio.run(main())
print(f"max_attempts=3: {len(runs)} runs")
assert len(runs) == 4
for name, expected in (
    ("wait", [5, 5, 5]),
    ("linear_wait", [0, 5, 10]),
    ("exponential_wait", [5, 25, 125]),
):
    found = pauses(**{name: 5})
    print(f"pauses with {name}=5: {found}")
    assert found == expected
PYTHON
