#!/usr/bin/env bash
# Procrastinate 3.10.0: a worker that waits for its last jobs counts as dead.
#
# A worker that is told to stop ends its heartbeat first, and then waits for the jobs that
# still run, up to `shutdown_graceful_timeout`. After 30 seconds without a heartbeat, the
# default, `get_stalled_jobs` lists these jobs. A periodic task that retries stalled jobs, as
# the documentation describes it, then starts them on another worker while they still run.
# Pull request 1585 of procrastinate-org/procrastinate would let the heartbeat go on.
#
# Seen on Python 3.11.7 with Procrastinate 3.10.0, in memory:
#   while it works:      []
#   while it shuts down: ['test.long']
#   the job:             done
#
# Exits with 1 if this is no longer so. Needs uv and a package index, nothing else.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv --quiet "$folder/venv"
uv pip install --quiet --python "$folder/venv/bin/python" procrastinate==3.10.0

"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
from procrastinate import App
from procrastinate.testing import InMemoryConnector

app = App(connector=InMemoryConnector())
done = []


@app.task(name="test.long")
async def long():
    await asyncio.sleep(3)
    done.append("done")


async def stalled():
    jobs = await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=1)
    return [job.task_name for job in jobs]


async def main():
    await long.defer_async()
    worker = asyncio.create_task(
        app.run_worker_async(
            update_heartbeat_interval=0.1,
            shutdown_graceful_timeout=10,
            install_signal_handlers=False,
        )
    )
    await asyncio.sleep(1.3)
    working = await stalled()
    worker.cancel()  # As a signal does.
    await asyncio.sleep(1.3)
    stopping = await stalled()
    await asyncio.gather(worker, return_exceptions=True)
    print("while it works:     ", working)
    print("while it shuts down:", stopping)
    print("the job:            ", *done)
    assert (working, stopping, done) == ([], ["test.long"], ["done"])


asyncio.run(main())
PYTHON
