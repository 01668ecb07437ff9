"""Judges what a revision did, with squawk and with rules for what squawk misses."""

import json
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from migration_run import Effect, Statement

SQUAWK = ("squawk", "--config", Path(__file__).parents[1] / ".squawk.toml")


@dataclass(frozen=True)
class Finding:
    """A problem with a statement; a note does not fail the check."""

    statement: Statement
    rule: str
    message: str
    is_note: bool = False


# Statements that neither squawk nor an event trigger reports, by how they begin.
RULES = {
    r"(WITH\b.*\)\s*)?(UPDATE|DELETE FROM|MERGE INTO)\b": (
        "change-of-rows",
        "Requests that change one of these rows wait until the revision ends.",
    ),
    r"(CLUSTER|VACUUM\b.*\bFULL)\b": (
        "table-rewrite",
        "Rewrites the table while all requests to it wait.",
    ),
    r"TRUNCATE\b": (
        "truncate",
        "Deletes rows that the previous release still serves.",
    ),
    r"LOCK\b": (
        "lock-table",
        "Requests to the table wait until the revision ends.",
    ),
    r"REFRESH MATERIALIZED VIEW (?!CONCURRENTLY)": (
        "refresh-without-concurrently",
        "Requests to the view wait until PostgreSQL has computed it again.",
    ),
    r"DO\b.*\b(ALTER|CREATE|DROP|TRUNCATE) ": (
        "ddl-in-do",
        "squawk cannot read a DO block: execute each statement on its own.",
    ),
    r"SELECT\b.*\bFROM\b": (
        "query",
        "Not judged: what the revision does with rows, because it ran without any.",
    ),
}
# What a finding of squawk means for the previous release, which still serves requests.
MEANINGS = {
    "ban-add-enum-value": (
        "The previous release responds with 500 when it reads a row with the new value. "
        "Write the value only once a release that knows it runs everywhere."
    ),
    "ban-drop-column": "The previous release fails wherever it names the column.",
    "ban-drop-constraint": (
        "The previous release may need it, for a 409 or for ON CONFLICT."
    ),
    "ban-drop-default": (
        "The previous release fails where it relies on the default of the column."
    ),
    "ban-drop-generated-expression": (
        "Rows that the previous release inserts have no value in the column."
    ),
    "ban-drop-not-null": (
        "The previous release responds with 500 when it reads an unexpected NULL."
    ),
    "ban-new-write-restriction": (
        "The previous release fails where it writes what is now refused; NOT VALID "
        "exempts only the rows that exist."
    ),
}
# Their effect depends on the previous release, and most of the time there is none.
NOTES = {
    "ban-alter-row-level-security",
    "ban-drop-constraint",
    "ban-drop-generated-expression",
    "ban-drop-not-null",
    "ban-new-write-restriction",
    "ban-revoke",
    "query",
}
# These statements have no IF NOT EXISTS, and need none to be repeated.
REPEATABLE = re.compile(r"VALIDATE CONSTRAINT|DETACH PARTITION", re.IGNORECASE)
# The previous release does not write a column that it does not know.
ADDS_ONLY_A_COLUMN = re.compile(
    r"ALTER TABLE \S+ ADD COLUMN (?!.*,\s*(ADD|ALTER)\b)", re.IGNORECASE | re.DOTALL
)


def own_findings(statements: Sequence[Statement]) -> Iterator[Finding]:
    """Yield what the rules above find."""
    for statement in statements:
        sql = re.sub(r"--[^\n]*|/\*.*?\*/", " ", statement.sql, flags=re.DOTALL)
        sql = " ".join(sql.upper().split())
        for pattern, (rule, message) in RULES.items():
            if re.match(pattern, sql):
                yield Finding(statement, rule, message, rule in NOTES)


def effect_findings(effects: Sequence[Effect]) -> Iterator[Finding]:
    """Yield the table rewrites and scans that PostgreSQL reported."""
    for effect in effects:
        table = effect.table
        if effect.lock is None:
            message = f"Rewrites {table} while all requests to it wait."
            yield Finding(effect.statement, "table-rewrite", message)
        else:
            is_exclusive = effect.lock == "AccessExclusiveLock"
            waiting = "all requests" if is_exclusive else "all writes"
            message = f"Scans {table} while {waiting} to it wait."
            yield Finding(effect.statement, "table-scan", message)


def squawk_findings(statements: Sequence[Statement]) -> Iterator[Finding]:
    """Yield what squawk finds."""
    script = list(_script(statements))
    lines = [statement for sql, statement in script for _ in range(sql.count("\n") + 1)]
    output = subprocess.run(
        [*SQUAWK, "--reporter=json", "--stdin-filepath=revision"],
        input="\n".join(sql for sql, _ in script),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    ).stdout
    for found in json.loads(output):
        rule, statement = found["rule_name"], lines[found["line"]]
        sql = statement.sql
        # squawk does not know the rules above, which a comment may name.
        if (
            rule == "unused-ignore"
            or (rule == "prefer-robust-stmts" and REPEATABLE.search(sql))
            or (rule == "ban-new-write-restriction" and ADDS_ONLY_A_COLUMN.search(sql))
        ):
            continue
        text = " ".join(filter(None, (found["message"], found["help"])))
        yield Finding(statement, rule, MEANINGS.get(rule, text), rule in NOTES)


def _script(statements: Sequence[Statement]) -> Iterator[tuple[str, Statement]]:
    """Yield the SQL of each statement, and of the transactions around them."""
    in_transaction = False
    for statement in statements:
        if statement.in_transaction != in_transaction:
            in_transaction = statement.in_transaction
            yield ("BEGIN;" if in_transaction else "COMMIT;"), statement
        yield f"{statement.sql}\n;", statement
    if in_transaction:
        yield "COMMIT;", statements[-1]
