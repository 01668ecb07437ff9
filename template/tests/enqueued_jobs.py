"""The jobs that were enqueued in the transaction of a test."""

from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.core.jobs import Call, declared

DUE = text("""
    SELECT id, task_name, args, attempts FROM procrastinate_jobs
    WHERE status = 'todo' AND (scheduled_at IS NULL OR scheduled_at <= now())
    ORDER BY priority DESC, id
""")
ALL = text("SELECT task_name, args FROM procrastinate_jobs ORDER BY id")
START = text("""
    UPDATE procrastinate_jobs SET status = 'doing', queueing_lock = NULL WHERE id = :id
""")
DONE = text("DELETE FROM procrastinate_jobs WHERE id = :id")


class EnqueuedJobs:
    """Runs the jobs, or says which there are."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def run(self) -> int:
        """Run the jobs that are due, and those that these enqueue; return how many.

        Raises what a job raises.
        """
        done = 0
        while found := (await self._connection.execute(DUE)).first():
            id, name, stored, attempts = found
            await self._connection.execute(START, {"id": id})
            await declared[name].run(id, attempts + 1, stored)
            await self._connection.execute(DONE, {"id": id})
            done += 1
        return done

    async def calls(self) -> list[Call]:
        """Return the jobs that did not run, also those that are not due, oldest first."""
        rows: Any = await self._connection.execute(ALL)
        return [declared[name].stored_call(stored) for name, stored in rows]
