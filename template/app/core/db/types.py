"""Column types for annotations, used where a model names no type."""

import enum
import uuid
from datetime import datetime
from json import JSONEncoder
from typing import Any

from pydantic_core import to_jsonable_python
from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    Enum,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    Uuid,
    event,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.ext.mutable import MutableDict, MutableList

# Serializes the value of a JSON column; it may contain whatever Pydantic can dump.
to_json = JSONEncoder(default=to_jsonable_python).encode


def stored_values(members: type[enum.Enum]) -> list[str]:
    """Return the members' values, or their names if a value is not a string."""
    values = [member.value for member in members]
    if all(isinstance(value, str) for value in values):
        return values
    return [member.name for member in members]


# None is NULL, not JSON's null. The mutable types save a change in place, as by
# `tags.append`, but not a change of a nested value.
TYPE_ANNOTATION_MAP: dict[Any, Any] = {
    datetime: DateTime(timezone=True),
    # Text: a native type can never lose a member. The length leaves room for longer ones.
    enum.Enum: Enum(
        enum.Enum, native_enum=False, length=64, values_callable=stored_values
    ),
    dict[str, Any]: MutableDict.as_mutable(JSONB(none_as_null=True)),
    list[dict[str, Any]]: MutableList.as_mutable(JSONB(none_as_null=True)),
    list[str]: MutableList.as_mutable(ARRAY(Text)),
    list[int]: MutableList.as_mutable(ARRAY(Integer)),
    list[uuid.UUID]: MutableList.as_mutable(ARRAY(Uuid)),
}


def check_enums(metadata: MetaData) -> None:
    """Give each column of an annotated enum a CHECK constraint named after the column."""

    @event.listens_for(Column, "after_parent_attach")
    def _(column: Column[Any], table: Table) -> None:
        enum_type = annotated_enum(column)
        if table.metadata is metadata and enum_type is not None:
            check = type_coerce(column, String).in_(enum_type.enums)
            info = {"members": set(enum_type.enums)}
            table.append_constraint(CheckConstraint(check, name=column.name, info=info))


def annotated_enum(column: Column[Any]) -> Enum | None:
    """Return the type of a column that is an enum by its annotation alone."""
    if isinstance(column.type, Enum) and column.type.values_callable is stored_values:
        return column.type
    return None
