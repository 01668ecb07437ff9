#!/usr/bin/env bash
# SQLAlchemy 2.1.9: inserting an empty list of rows inserts one row.
#
# `session.execute(insert(Lamp), rows)` inserts as many rows as there are dictionaries. With none,
# the list counts as "no parameters", and the statement is run once, with the defaults of all
# columns. The same holds for `insert(Lamp).values(rows)` and for `returning`, whose result then
# has an object that nobody asked for. Where a column needs a value, it is an error of a NULL
# that nobody sent. An import that finds nothing new adds an empty row each time. A connection,
# without the ORM, warns that this is deprecated; a session does not.
#
# Seen on Python 3.11.7 with SQLAlchemy 2.1.9, on SQLite in memory, with warnings as errors:
#   execute(insert(Lamp), []):                1 row
#   execute(insert(Lamp).values([])):         1 row
#   scalars(insert(Lamp).returning(Lamp), []): 1 row
#   connection.execute(insert(table), []):    SADeprecationWarning
#
# Exits with 1 if this is no longer so. Needs uv and a package index, nothing else.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv --quiet "$folder/venv"
uv pip install --quiet --python "$folder/venv/bin/python" sqlalchemy==2.1.9

"$folder/venv/bin/python" -W error - <<'PYTHON'
from sqlalchemy import create_engine, func, insert, select
from sqlalchemy.exc import SADeprecationWarning
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column


class Base(DeclarativeBase):
    pass


class Lamp(Base):
    __tablename__ = "lamp"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(default="")


engine = create_engine("sqlite://")
Base.metadata.create_all(engine)
WAYS = {
    "execute(insert(Lamp), [])": lambda session: session.execute(insert(Lamp), []),
    "execute(insert(Lamp).values([]))": lambda session: session.execute(
        insert(Lamp).values([])
    ),
    "scalars(insert(Lamp).returning(Lamp), [])": lambda session: session.scalars(
        insert(Lamp).returning(Lamp), []
    ).all(),
}
for name, run in WAYS.items():
    with Session(engine) as session:
        run(session)
        rows = session.scalar(select(func.count()).select_from(Lamp))
    print(f"{name}: {rows} row")
    assert rows == 1

try:
    with engine.connect() as connection:
        connection.execute(insert(Lamp.__table__), [])
except SADeprecationWarning as warning:
    print("connection.execute(insert(table), []):", type(warning).__name__)
else:
    raise AssertionError("no warning")
PYTHON
