"""Finds statements in revisions that block requests or break the previous release.

Each revision runs in a new, empty database on the configured server.
"""

import argparse
import logging
import re
import sys
import warnings
from pathlib import Path

from alembic.script import Script, ScriptDirectory
from migration_rules import (
    Finding,
    effect_findings,
    own_findings,
    squawk_findings,
)
from migration_run import ALEMBIC, Statement, empty_database, run

from app.core.db.failures import driver_error

HINT = (
    "For alternatives, see “Change the schema without downtime” in the template's how-to "
    "guides. To accept a finding, write a comment above the line: squawk-ignore RULE"
)


def main() -> int:
    """Return 1 if a revision has a finding, else 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, metavar="alembic/versions/FILE")
    files = {file.resolve(): file for file in parser.parse_args().files}
    logging.disable(logging.INFO)
    directory = ScriptDirectory.from_config(ALEMBIC)
    try:
        with warnings.catch_warnings(action="error", category=UserWarning):
            # In the order in which they run.
            revisions = reversed([*directory.walk_revisions()])
    except UserWarning as warning:
        parser.error(f"alembic/versions is inconsistent: {warning}")
    to_lint = {
        path: revision
        for revision in revisions
        if (path := Path(revision.path).resolve()) in files
    }
    for path in files.keys() - to_lint.keys():
        parser.error(
            f"{files[path]} is not a revision: alembic history lists them all."
        )
    found = False
    with empty_database():
        for path, revision in to_lint.items():
            for finding in lint(revision):
                level = "note" if finding.is_note else "error"
                where = f"{files[path]}:{finding.statement.line}"
                print(f"{where}: {level}: {finding.rule}\n    {finding.message}")  # noqa: T201
                found = found or not finding.is_note
    if found:
        print(HINT)  # noqa: T201
    return int(found)


def lint(revision: Script) -> list[Finding]:
    """Run a revision, and return the findings that no comment accepts."""
    result = run(revision)
    source = Path(revision.path).read_text().splitlines()

    def is_accepted(finding: Finding) -> bool:
        # In the SQL, or in Python on the line or the one above.
        sql, line = finding.statement.sql, finding.statement.line
        lines = "\n".join([sql, *source[max(line - 2, 0) : line]])
        return re.search(rf"squawk-ignore.*\b{finding.rule}\b", lines) is not None

    found = [
        *squawk_findings(result.statements),
        *own_findings(result.statements),
        *effect_findings(result.effects),
    ]
    if result.error:
        at = Statement("", result.error_line, in_transaction=True)
        error = driver_error(result.error)
        found.append(Finding(at, "fails", f"{type(error).__name__}: {error}"))
    found.sort(key=lambda finding: finding.statement.line)
    return [finding for finding in found if not is_accepted(finding)]


if __name__ == "__main__":
    sys.exit(main())
