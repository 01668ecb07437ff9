#!/usr/bin/env bash
# SQLAlchemy 2.1.9: many rows at once lose keys, of the later rows or those that are misspelled.
#
# A key that is no column is refused by `values(…)` and by the constructor of a model, with its
# name. In a list of rows for a session, it is passed over, so a misspelled column gets its
# default in every row. A connection, as in Alembic's `op.bulk_insert`, inserts the columns that
# the first row has: what only later rows have is dropped, and the default is stored in its place.
# In a session, such rows are all right; in a connection, the other order is an error, since a
# later row lacks what the first one has.
#
# Seen on Python 3.11.7 with SQLAlchemy 2.1.9, on SQLite in memory, with warnings as errors:
#   session, [{"nmae": "a"}]:                        name ''
#   values(nmae="a"):                                CompileError
#   connection, [{"id": 2}, {"id": 3, "name": "b"}]: names '', ''
#   session, [{"id": 4}, {"id": 5, "name": "b"}]:    names '', 'b'
#   connection, [{"id": 6, "name": "b"}, {"id": 7}]: StatementError
#
# Exits with 1 if this is no longer so. Needs uv and a package index, nothing else.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv --quiet "$folder/venv"
uv pip install --quiet --python "$folder/venv/bin/python" sqlalchemy==2.1.9

"$folder/venv/bin/python" -W error - <<'PYTHON'
from sqlalchemy import create_engine, insert, select
from sqlalchemy.exc import CompileError, StatementError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column


class Base(DeclarativeBase):
    pass


class Lamp(Base):
    __tablename__ = "lamp"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(default="")


engine = create_engine("sqlite://")
Base.metadata.create_all(engine)
NAMES = select(Lamp.name).order_by(Lamp.id)


def in_session(*rows):
    with Session(engine) as session:
        session.execute(insert(Lamp), [*rows])
        return session.scalars(NAMES).all()


def in_connection(*rows):
    with engine.connect() as connection:
        connection.execute(insert(Lamp.__table__), [*rows])
        return connection.scalars(NAMES).all()


misspelled = in_session({"nmae": "a"})
print("misspelled, in a session:", misspelled)
assert misspelled == [""]

later = in_connection({"id": 2}, {"id": 3, "name": "b"})
print("only later, in a connection:", later)
assert later == ["", ""]

grouped = in_session({"id": 4}, {"id": 5, "name": "b"})
print("only later, in a session:", grouped)
assert grouped == ["", "b"]

for run, expected in (
    (lambda: str(insert(Lamp).values(nmae="a")), CompileError),
    (lambda: in_connection({"id": 6, "name": "b"}, {"id": 7}), StatementError),
):
    try:
        run()
    except expected as error:
        print(f"{type(error).__name__}: {error}".splitlines()[0])
    else:
        raise AssertionError("no error")
PYTHON
