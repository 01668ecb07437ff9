"""What the type of a row asks for, in the names that Pydantic looks up."""

import dataclasses
from collections.abc import Mapping
from types import UnionType
from typing import (
    Annotated,
    Any,
    NamedTuple,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from pydantic import AliasChoices, AliasPath, BaseModel, RootModel
from pydantic.fields import FieldInfo


class Field(NamedTuple):
    """The names that a field is looked up by, and whether one of them must be there."""

    names: list[str]
    is_required: bool


def fields_of(row: Any) -> list[Field] | None:
    """Return the fields of a row, or None for a dict, which takes whatever there is.

    Raises TypeError for a type that is not made of named fields.
    """
    row = getattr(row, "__value__", row)  # What `type Name = …` stands for.
    origin = get_origin(row) or row
    if origin is Annotated:
        return fields_of(get_args(row)[0])
    if origin in (Union, UnionType):
        return _fields_of_each(get_args(row))
    if origin is Any:
        return None
    if not isinstance(origin, type):
        raise _no_row(row)
    if hasattr(origin, "__required_keys__"):  # A TypedDict, of any origin.
        required = origin.__required_keys__
        return [Field([name], name in required) for name in get_type_hints(origin)]
    if issubclass(origin, Mapping):
        return None
    if issubclass(origin, RootModel):
        return fields_of(row.model_fields["root"].annotation)
    if issubclass(origin, BaseModel):
        return _pydantic_fields(row.model_fields, row.model_config)
    if hasattr(origin, "__pydantic_fields__"):  # Its own dataclass.
        return _pydantic_fields(origin.__pydantic_fields__, origin.__pydantic_config__)
    if dataclasses.is_dataclass(origin):
        fields = [field for field in dataclasses.fields(origin) if field.init]
        missing = dataclasses.MISSING
        return [
            Field([f.name], f.default is missing and f.default_factory is missing)
            for f in fields
        ]
    raise _no_row(row)


def sees_raw_data(row: Any) -> bool:
    """Return whether a model has a validator that sees the data before its fields do."""
    decorators = getattr(row, "__pydantic_decorators__", None)
    validators = decorators.model_validators.values() if decorators else ()
    return any(validator.info.mode != "after" for validator in validators)


def _no_row(row: Any) -> TypeError:
    return TypeError(
        f"{row} has no named fields: a row is a Pydantic model, a dataclass, "
        "a TypedDict or a dict."
    )


def _fields_of_each(members: tuple[Any, ...]) -> list[Field] | None:
    """Return the fields of the members of a union, none of which must be there."""
    fields: list[Field] = []
    for member in members:
        if member is not type(None):
            found = fields_of(member)
            if found is None:
                return None
            fields += [field._replace(is_required=False) for field in found]
    return fields


def _pydantic_fields(
    fields: Mapping[str, FieldInfo], config: Mapping[str, Any]
) -> list[Field]:
    by_name = config.get("validate_by_name") or config.get("populate_by_name")
    by_alias = config.get("validate_by_alias", True)
    found = []
    for name, field in fields.items():
        names = _first_names(field.validation_alias) if by_alias else []
        if by_name or not names:
            names.append(name)
        found.append(Field(names, field.is_required()))
    return found


def _first_names(alias: str | AliasPath | AliasChoices | None) -> list[str]:
    match alias:
        case AliasChoices(choices=choices):
            return [name for choice in choices for name in _first_names(choice)]
        case AliasPath(path=path):
            return [str(path[0])]
        case str():
            return [alias]
    return []
