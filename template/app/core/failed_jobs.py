"""`uv run jobs`: lists the jobs that were given up, runs them again, or deletes them."""

import argparse
import asyncio

from sqlalchemy import text

from app.core.database import engine
from app.core.db.failures import DATABASE_ERRORS, driver_error

FAILED = text("""
    SELECT job.id, task_name, attempts, args, max(at)
    FROM procrastinate_jobs AS job JOIN procrastinate_events ON job_id = job.id
    WHERE status = 'failed' GROUP BY job.id ORDER BY job.id
""")
# Not the library's own function, which would count an attempt that never ran. Another job
# may wait with the same queueing lock.
RETRY = text("""
    UPDATE procrastinate_jobs
    SET status = 'todo', scheduled_at = now(), queueing_lock = NULL
    WHERE status = 'failed' AND id = ANY(:ids)
    RETURNING id
""")
DELETE = text("""
    DELETE FROM procrastinate_jobs WHERE status = 'failed' AND id = ANY(:ids)
    RETURNING id
""")


def main() -> None:
    """Do what the arguments say, and print a line for each job."""
    parser = argparse.ArgumentParser("jobs", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("failed", help="list the jobs that were given up")
    for name, help in (("retry", "run jobs once more"), ("delete", "delete jobs")):
        commands.add_parser(name, help=help).add_argument(
            "ids", nargs="+", type=int, metavar="ID"
        )
    arguments = parser.parse_args()
    asyncio.run(_print(arguments.command, getattr(arguments, "ids", [])))


async def _print(command: str, ids: list[int]) -> None:
    try:
        for line in await carry_out(command, ids):
            print(line)  # noqa: T201
    except DATABASE_ERRORS as error:
        raise SystemExit(
            f"`jobs {command}` failed: {str(driver_error(error)).strip()}"
        ) from None
    finally:
        await engine.dispose()


async def carry_out(command: str, ids: list[int]) -> list[str]:
    """Carry out a command, commit, and return a line for each job."""
    async with engine.begin() as connection:
        if command == "failed":
            rows = await connection.execute(FAILED)
            return [
                f"{id}  {name}  {attempts} attempts, {at:%Y-%m-%d %H:%M}  {arguments}"
                for id, name, attempts, arguments, at in rows
            ]
        statement = {"retry": RETRY, "delete": DELETE}[command]
        done = {"retry": "is run again", "delete": "is deleted"}[command]
        found = set(await connection.scalars(statement, {"ids": ids}))
        return [f"{id} {done if id in found else 'is not a failed job'}" for id in ids]


if __name__ == "__main__":
    main()
