"""How Alembic compares the models with the database to generate revisions."""

import re

from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import (
    AddConstraintOp,
    DropConstraintOp,
    ModifyTableOps,
)
from alembic.runtime.plugins import Plugin
from alembic.util import CommandError, PriorityDispatchResult
from sqlalchemy import CheckConstraint, Table
from sqlalchemy.dialects.postgresql import ENUM
from sqlalchemy.sql.elements import conv

from app.core.db.types import annotated_enum


def compare_enums(
    context: AutogenContext,
    operations: ModifyTableOps,
    schema: str | None,
    name: str,
    stored: Table | None,
    model: Table | None,
) -> PriorityDispatchResult:
    """Replace the CHECK constraint of an annotated enum whose members changed."""
    if stored is not None and model is not None:
        _refuse_native_enums(stored, model)
        checks = {
            check["name"]: check["sqltext"]
            for check in context.inspector.get_check_constraints(name, schema=schema)
        }
        for check in model.constraints:
            members, sql = check.info.get("members"), checks.get(str(check.name))
            if members and sql and members != _literals(sql):
                former = CheckConstraint(sql, name=conv(str(check.name)), table=stored)
                operations.ops += [
                    DropConstraintOp.from_constraint(former),
                    AddConstraintOp.from_constraint(check),
                ]
    return PriorityDispatchResult.CONTINUE


def _refuse_native_enums(stored: Table, model: Table) -> None:
    for column in model.columns:
        enum = annotated_enum(column)
        found = stored.columns.get(column.name)
        if enum is not None and found is not None and isinstance(found.type, ENUM):
            raise CommandError(
                f"{column} has a native enum type in the database, but is text in the "
                "model, where it names no type: to keep the native one, add "
                f"`mapped_column(Enum({enum.python_type.__name__}))`"
            )


def _literals(sql: str) -> set[str]:
    found = re.findall(r"'((?:[^']|'')*)'", sql)
    return {literal.replace("''", "'") for literal in found}


PLUGIN = "app.enums"
Plugin(PLUGIN).add_autogenerate_comparator(compare_enums, "table", "enums")
