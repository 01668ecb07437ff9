"""Jobs that note when they run, and some that end their worker."""

import asyncio
import os
import signal

from app.core.database import engine
from app.core.jobs import Run, job
from sqlalchemy import text

STARTED = text("INSERT INTO trial_start (name, attempt) VALUES (:name, :attempt)")
KEYED = text("""
    INSERT INTO trial_write (key, number) VALUES (:key, :number) ON CONFLICT DO NOTHING
""")


async def note_start(name: str, run: Run) -> None:
    """Note it outside of the job's transaction, so that it stays whatever happens."""
    async with engine.begin() as connection:
        await connection.execute(STARTED, {"name": name, "attempt": run.attempt})


@job()
async def write(run: Run, number: int) -> None:
    await note_start(f"write {number}", run)
    await run.session.execute(KEYED, {"key": run.key, "number": number})
    await asyncio.sleep(0.005)


@job()
async def sleep(run: Run, seconds: float) -> None:
    await note_start("sleep", run)
    await asyncio.sleep(seconds)
    await note_start("slept", run)


@job(attempts=2)
async def poison(run: Run) -> None:
    await note_start("poison", run)
    os.kill(os.getpid(), signal.SIGKILL)
