"""The tables of the jobs, as the installed Procrastinate makes them.

Its migrations are SQL files, which it never changes after their release. A revision names
the newest one that it runs, so the next version of the library leaves that revision alone.
"""

from importlib.util import find_spec
from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import TextClause, text

# The name of a variable in a revision; its value is the migration that it runs last.
VARIABLE = "PROCRASTINATE"
TABLES = "procrastinate_*"

ALEMBIC_INI = Path(__file__).parents[3] / "alembic.ini"


def migrations() -> dict[str, Path]:
    """Return the files of the library's migrations by name, in their order."""
    # Found without importing the library, which would load its database driver.
    library = find_spec("procrastinate")
    assert library is not None
    assert library.submodule_search_locations is not None
    (root,) = library.submodule_search_locations
    files = sorted(Path(root, "sql", "migrations").glob("*.sql"))
    return {file.stem: file for file in files}


def newest_in_revisions() -> str:
    """Return the migration that the revisions run last, or "" if none runs any."""
    revisions = ScriptDirectory.from_config(Config(ALEMBIC_INI)).walk_revisions()
    named = (getattr(revision.module, VARIABLE, "") for revision in revisions)
    return max(named, default="")


def missing() -> list[str]:
    """Return the migrations of the installed library that no revision runs yet."""
    newest = newest_in_revisions()
    return [name for name in migrations() if name > newest]


def problem() -> str | None:
    """Return a sentence that says what to run if migrations are missing, or None."""
    if not (names := missing()):
        return None
    return (
        f"No revision runs {names[-1]} of Procrastinate: write what is missing with "
        "`uv run python scripts/new_job_revisions.py`"
    )


def upgrade_to(newest: str) -> TextClause:
    """Return a statement that runs all migrations up to a name, without those that ran.

    A comment on a table says which did, because the library has no way back: after a
    downgrade of a later revision, its changes are still there.
    """
    if newest not in migrations():
        raise CommandError(
            f"The installed Procrastinate has no migration {newest}: run `uv sync`"
        )
    steps = "\n".join(
        f"IF done < '{name}' COLLATE \"C\" THEN EXECUTE $sql${file.read_text()}$sql$; "
        "END IF;"
        for name, file in migrations().items()
        if name <= newest
    )
    return _block(f"""
        DECLARE
            done text = coalesce(obj_description(to_regclass('procrastinate_jobs')), '');
        BEGIN
            {steps}
            COMMENT ON TABLE procrastinate_jobs IS '{newest}';
        END
    """)


def drop() -> TextClause:
    """Return a statement that drops all that the migrations made, with the jobs."""
    return _block(r"""
        DECLARE
            made text;
        BEGIN
            -- One returns a row of a table, and the triggers of the tables call others.
            FOR made IN SELECT oid::regprocedure FROM pg_proc
                WHERE proname LIKE 'procrastinate\_%' AND prorettype <> 'trigger'::regtype
            LOOP EXECUTE 'DROP FUNCTION ' || made; END LOOP;
            DROP TABLE procrastinate_periodic_defers, procrastinate_events,
                procrastinate_jobs, procrastinate_workers;
            FOR made IN SELECT oid::regprocedure FROM pg_proc
                WHERE proname LIKE 'procrastinate\_%'
            LOOP EXECUTE 'DROP FUNCTION ' || made; END LOOP;
            FOR made IN SELECT oid::regtype FROM pg_type
                WHERE typname LIKE 'procrastinate\_%'
            LOOP EXECUTE 'DROP TYPE ' || made; END LOOP;
        END
    """)


def _block(code: str) -> TextClause:
    # One statement: a prepared one cannot hold several. Colons would be parameters.
    return text(f"DO $block${code}$block$".replace(":", r"\:"))
