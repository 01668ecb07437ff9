"""Writes a revision for each migration of the installed Procrastinate that has none.

The first revision runs all migrations of that version: it creates the tables of the jobs.
"""

import argparse

from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError, rev_id

from app.core.db import job_tables


def main() -> None:
    """Write the revisions and print their paths, or exit with a sentence."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    names = job_tables.missing()
    try:
        if not job_tables.newest_in_revisions():
            drop = "op.execute(job_tables.drop())"
            write("Create the tables of the jobs", names[-1], drop)
            return
        for name in names:
            # The library has no way back, and `upgrade_to` runs no migration twice.
            write(f"Run {name} of Procrastinate", name, "pass")
    except CommandError as error:
        raise SystemExit(str(error)) from None
    if not names:
        print("Every migration of Procrastinate has a revision.")  # noqa: T201


def write(message: str, migration: str, downgrade: str) -> None:
    """Write a revision after the newest one; Alembic prints its path."""
    directory = ScriptDirectory.from_config(Config(job_tables.ALEMBIC_INI))
    directory.generate_revision(
        rev_id(),
        message,
        imports=(
            "\nfrom app.core.db import job_tables\n\n"
            f'{job_tables.VARIABLE} = "{migration}"'
        ),
        upgrades=(
            "# squawk-ignore ddl-in-do\n    "
            f"op.execute(job_tables.upgrade_to({job_tables.VARIABLE}))"
        ),
        downgrades=downgrade,
    )


if __name__ == "__main__":
    main()
