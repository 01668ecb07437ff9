"""How Alembic compares the models with the database to generate revisions."""

import re
from collections.abc import Callable, Collection
from contextlib import suppress
from fnmatch import fnmatchcase
from functools import cache
from graphlib import CycleError, TopologicalSorter
from typing import Any

from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import (
    AddConstraintOp,
    CreateTableOp,
    DowngradeOps,
    DropConstraintOp,
    DropTableOp,
    ExecuteSQLOp,
    MigrationScript,
    ModifyTableOps,
    UpgradeOps,
)
from alembic.runtime.migration import MigrationContext
from alembic.runtime.plugins import Plugin
from alembic.util import CommandError, PriorityDispatchResult
from sqlalchemy import CheckConstraint, Connection, MetaData, Table, inspect, text
from sqlalchemy.dialects.postgresql import ENUM
from sqlalchemy.schema import CreateSchema, DropSchema
from sqlalchemy.sql.elements import conv

from app.core.db.types import annotated_enum

UNMANAGED = text("""
    SELECT nspname, relname
    FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE relispartition OR EXISTS (
        SELECT FROM pg_depend
        WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND deptype = 'e'
    )
""")


def table_filters(
    metadata: MetaData, ignored: Collection[str], connection: Connection | None
) -> dict[str, Callable[..., bool]]:
    """Return the options that limit the comparison to the tables of the service.

    It covers the schemas that the models use, without the tables that `ignored` matches.
    Partitions and the tables of extensions count only if a model describes them.
    """
    schemas = {table.schema for table in metadata.tables.values()}

    @cache
    def unmanaged() -> set[str]:
        return unmanaged_tables(connection) if connection else set()

    def include_name(
        name: str | None, kind: str, parents: dict[str, str | None]
    ) -> bool:
        if kind == "schema":
            return name is None or name in schemas
        if kind != "table":
            return True
        table = str(parents["schema_qualified_table_name"])
        if is_ignored(table, ignored):
            return False
        return table in metadata.tables or table not in unmanaged()

    def include_object(element: Any, *_: object) -> bool:
        return not (
            isinstance(element, Table) and is_ignored(element.fullname, ignored)
        )

    return {"include_name": include_name, "include_object": include_object}


def unmanaged_tables(connection: Connection) -> set[str]:
    """Return partitions and tables of extensions, as `table` or `schema.table`."""
    default = connection.dialect.default_schema_name
    return {
        name if schema == default else f"{schema}.{name}"
        for schema, name in connection.execute(UNMANAGED)
    }


def is_ignored(table: str, patterns: Collection[str]) -> bool:
    """Return whether a table matches a pattern such as `"legacy_*"` or `"billing.*"`."""
    return any(fnmatchcase(table, pattern) for pattern in patterns)


def complete(
    context: MigrationContext, _: object, scripts: list[MigrationScript]
) -> None:
    """Complete the revisions that Alembic generates, so that they run as written."""
    for script in scripts:
        if script.upgrade_ops is not None and script.downgrade_ops is not None:
            _drop_referring_tables_first(script.upgrade_ops)
            script.upgrade_ops.reverse_into(script.downgrade_ops)
            _create_schemas(context, script.upgrade_ops, script.downgrade_ops)


def _drop_referring_tables_first(upgrade: UpgradeOps) -> None:
    """Move the dropped tables to the end, each behind those with a foreign key to it."""
    drops = {op.to_table().key: op for op in upgrade.ops if isinstance(op, DropTableOp)}
    sorter = TopologicalSorter(dict.fromkeys(drops, ()))
    for name, op in drops.items():
        for key in op.to_table().foreign_keys:
            referred = key.target_fullname.rpartition(".")[0]
            if referred in drops and referred != name:
                sorter.add(referred, name)
    # Tables that refer to each other have no such order.
    with suppress(CycleError):
        order = [*sorter.static_order()]
        kept = [op for op in upgrade.ops if not isinstance(op, DropTableOp)]
        upgrade.ops[:] = [*kept, *(drops[name] for name in order)]


def _create_schemas(
    context: MigrationContext, upgrade: UpgradeOps, downgrade: DowngradeOps
) -> None:
    """Add the schemas to a revision that its tables need and the database lacks."""
    assert context.connection is not None
    known = inspect(context.connection).get_schema_names()
    tables = [op for op in upgrade.ops if isinstance(op, CreateTableOp)]
    needed = {op.schema for op in tables if op.schema}
    for schema in sorted(needed.difference(known)):
        create = CreateSchema(schema, if_not_exists=True)
        drop = DropSchema(schema, if_exists=True)
        upgrade.ops.insert(0, _execute(create, context))
        downgrade.ops.append(_execute(drop, context))


def _execute(
    statement: CreateSchema | DropSchema, context: MigrationContext
) -> ExecuteSQLOp:
    return ExecuteSQLOp(str(statement.compile(dialect=context.dialect)))


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
