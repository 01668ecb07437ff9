"""Finds statements in revisions that lock a table, or break the release that still runs.

Alembic writes each revision as SQL, and squawk (https://squawkhq.com/docs/rules) reads it.
"""

import argparse
import logging
import os
import subprocess
import sys
from io import StringIO
from pathlib import Path

from alembic.command import upgrade
from alembic.config import Config
from alembic.script import Script, ScriptDirectory

ROOT = Path(__file__).parents[1]


def main() -> int:
    """Return 1 if a revision has a finding, else 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, metavar="alembic/versions/FILE")
    files = parser.parse_args().files
    # The settings want one, but no database is asked for anything.
    os.environ["DATABASE_URL"] = "postgresql://nobody@localhost/none"
    logging.disable(logging.INFO)
    directory = ScriptDirectory.from_config(Config(ROOT / "alembic.ini"))
    revisions = {
        Path(revision.path).resolve(): revision
        for revision in directory.walk_revisions()
    }
    findings = 0
    for file in files:
        revision = revisions.get(file.resolve())
        if revision is None:
            parser.error(f"{file} is not a revision: alembic history lists them all.")
        findings += _lint(file, _sql(revision))
    return min(findings, 1)


def _sql(revision: Script) -> str:
    """Return what the revision does, as SQL; a merge of branches does nothing."""
    if revision.is_merge_point:
        return ""
    sql = StringIO()
    config = Config(ROOT / "alembic.ini", output_buffer=sql)
    upgrade(config, f"{revision.down_revision or 'base'}:{revision.revision}", sql=True)
    return sql.getvalue()


def _lint(file: Path, sql: str) -> int:
    command = ["squawk", "--config", ROOT / ".squawk.toml", "--stdin-filepath", file]
    return subprocess.run(command, input=sql, text=True, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
