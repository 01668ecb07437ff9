#!/usr/bin/env bash
# SQLAlchemy 2.1.9: a constraint or an index that is an attribute of a model is not created.
#
# Columns, relationships and hybrid properties are attributes of a class, and SQLAlchemy refuses
# much that it does not understand there, such as `name: str` without Mapped. A UniqueConstraint,
# a CheckConstraint or an Index with names of columns is passed over without a word, as is a
# misspelled `__table_arg__`. Since Alembic compares the database with the same table, which
# lacks them, nothing is ever missing. An Index of the column itself, which is an object by then,
# is created.
#
# Seen on Python 3.11.7 with SQLAlchemy 2.1.9:
#   constraints: PrimaryKeyConstraint
#   indexes:     ix_lamp_room
#   name: str:   MappedAnnotationError
#
# Exits with 1 if this is no longer so. Needs uv and a package index, nothing else.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv --quiet "$folder/venv"
uv pip install --quiet --python "$folder/venv/bin/python" sqlalchemy==2.1.9

"$folder/venv/bin/python" - <<'PYTHON'
from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlalchemy.exc import ArgumentError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


class Lamp(Base):
    __tablename__ = "lamp"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    room: Mapped[str] = mapped_column()

    one_name = UniqueConstraint("name")
    some_name = CheckConstraint("name <> ''")
    by_name = Index("ix_lamp_name", "name")
    by_room = Index("ix_lamp_room", room)
    __table_arg__ = (UniqueConstraint("room"),)


constraints = [type(constraint).__name__ for constraint in Lamp.__table__.constraints]
indexes = [index.name for index in Lamp.__table__.indexes]
print("constraints:", *constraints)
print("indexes:    ", *indexes)
assert constraints == ["PrimaryKeyConstraint"]
assert indexes == ["ix_lamp_room"]

try:

    class Room(Base):
        __tablename__ = "room"

        id: Mapped[int] = mapped_column(primary_key=True)
        name: str = mapped_column()
except ArgumentError as error:
    print("name: str:  ", type(error).__name__)
else:
    raise AssertionError("no error")
PYTHON
