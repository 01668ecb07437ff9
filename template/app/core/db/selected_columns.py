"""The columns of a select that a row asks for."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, Select, inspect
from sqlalchemy.ext.hybrid import HybridExtensionType
from sqlalchemy.orm import Bundle, ColumnProperty, SynonymProperty

from app.core.db.row_fields import fields_of, sees_raw_data

Columns = dict[str, ColumnElement[Any]]

# PostgreSQL cuts what is longer.
MAX_NAME_BYTES = 63
QUERY_EXPRESSION = ("query_expression", True)


def columns_for(select: Select[*tuple[Any, ...]], row: Any) -> tuple[Columns, set[str]]:
    """Return the columns to select for a row, by name, and the names that it must not see.

    Raises TypeError or ValueError, with what to do instead, for what the row asks for and
    the select does not have.
    """
    if not isinstance(select, Select):
        raise TypeError(
            f"A {type(select).__name__} is not a select: select from its subquery()."
        )
    labeled, entities = _sources(select)
    fields = fields_of(row)
    columns = dict(labeled)
    if fields is None:
        for entity in entities:
            for attribute in inspect(entity).mapper.column_attrs:
                _add(columns, attribute.key, [_attribute(entity, attribute.key)])
        asked = columns.keys()
    else:
        asked = {name for field in fields for name in field.names}
        for name in sorted(asked):
            _add(columns, name, (_attribute(entity, name) for entity in entities))
        for field in fields:
            if field.is_required and columns.keys().isdisjoint(field.names):
                raise ValueError(
                    f"{row} requires {field.names[0]!r}, which the select does not have: "
                    "select it, or label an expression with this name."
                )
        # DISTINCT compares all that is loaded, and a validator may read it.
        if select._distinct or sees_raw_data(row):
            for entity in entities:
                for name in sorted(_loaded(entity) - columns.keys()):
                    _add(columns, name, [_attribute(entity, name)])
        if sees_raw_data(row):
            asked = columns.keys()
    for name in columns:
        if len(name.encode()) > MAX_NAME_BYTES:
            raise ValueError(f"PostgreSQL cuts the name {name!r}: label it shorter.")
    return columns, columns.keys() - asked


def _sources(select: Select[*tuple[Any, ...]]) -> tuple[Columns, list[Any]]:
    """Return the columns that a select names itself, and its entities."""
    columns: Columns = {}
    entities = []
    for selected in select.column_descriptions:
        name, source = selected["name"], selected["expr"]
        if source is selected.get("entity"):
            entities.append(source)
        elif isinstance(source, Bundle):
            raise ValueError(f"{name!r} bundles columns: select each of them.")
        elif name in {None, "*", "_no_label"}:
            raise ValueError(f"'{source}' has no name: select an expression, labeled.")
        else:
            _add(columns, name, [source])
    return columns, entities


def _add(
    columns: Columns, name: str, found: Iterable[ColumnElement[Any] | None]
) -> None:
    for column in found:
        if column is None:
            continue
        if name in columns:
            raise ValueError(f"Two columns have the same name {name!r}: label one.")
        columns[name] = column


def _loaded(entity: Any) -> set[str]:
    """Return the attributes that a session loads with a model."""
    return {
        attribute.key
        for attribute in inspect(entity).mapper.column_attrs
        if not attribute.deferred and QUERY_EXPRESSION not in attribute.strategy_key
    }


def _attribute(entity: Any, name: str) -> ColumnElement[Any] | None:
    """Return an attribute of a model as a column, or None where the model has none.

    Raises ValueError for an attribute that only an instance in a session has.
    """
    mapper = inspect(entity).mapper
    key = name
    while isinstance(attribute := mapper.attrs.get(key), SynonymProperty):
        key = attribute.name
    if isinstance(attribute, ColumnProperty):
        is_column = QUERY_EXPRESSION not in attribute.strategy_key
    else:
        descriptor = mapper.all_orm_descriptors.get(key)
        kind = getattr(descriptor, "extension_type", None)
        is_column = kind is HybridExtensionType.HYBRID_PROPERTY
        if descriptor is None and not hasattr(mapper.class_, name):
            return None
    column = getattr(entity, name) if is_column else None
    is_expression = isinstance(getattr(column, "expression", None), ColumnElement)
    if not is_expression:
        raise ValueError(
            f"{mapper.class_.__name__}.{name} is not a column: select an expression labeled "
            f"{name!r}, make it a hybrid_property, or read with a session."
        )
    return column
