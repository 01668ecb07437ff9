"""Revisions that Alembic writes itself: what it compares, and whether they run as written."""

import re
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from tests.harness.pages import HOW_TO, blocks, section
from tests.harness.postgres import Postgres
from tests.harness.project import Project
from tests.harness.types import Render

ENUMS = '''"""The tables of cars."""

import enum

from sqlalchemy import Enum
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database import Base
from app.models.base import UUIDPrimaryKeyMixin


class Color(enum.StrEnum):
    RED = "red"
    GREEN = "it's green"


class Car(UUIDPrimaryKeyMixin, Base):
    __tablename__ = "car"

    color: Mapped[Color]
    roof: Mapped[Color | None]
'''
BILLING = '''"""The tables of the invoices."""

import uuid

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database import Base
from app.models.base import CreatedAtMixin, UUIDPrimaryKeyMixin


class Invoice(UUIDPrimaryKeyMixin, CreatedAtMixin, Base):
    __tablename__ = "invoice"
    __table_args__ = ({"schema": "billing department"},)

    item_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("item.id"), index=True)
    number: Mapped[str] = mapped_column(unique=True)
'''
BILLING_TEST = '''"""The invoices."""

import pytest
from httpx2 import AsyncClient
from sqlalchemy import func, select

from app.core.database import async_session_factory
from app.models import Invoice, Item


@pytest.mark.parametrize("time", [1, 2])
async def test_each_test_begins_with_empty_tables(
    committing_client: AsyncClient, time: int
) -> None:
    async with async_session_factory.begin() as session:
        item = Item(name="Box", quantity=1)
        session.add(item)
        await session.flush()
        session.add(Invoice(item_id=item.id, number="1"))
    async with async_session_factory() as session:
        assert await session.scalar(select(func.count(Invoice.id))) == 1
'''
EVENTS = '''"""The tables of the events."""

from datetime import date

from sqlalchemy.orm import Mapped, mapped_column

from app.core.database import Base


class Event(Base):
    __tablename__ = "event"
    __table_args__ = {"postgresql_partition_by": "RANGE (day)"}

    id: Mapped[int] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)


class LegacyUser(Base):
    """Another program's, which the service reads."""

    __tablename__ = "legacy_user"

    id: Mapped[int] = mapped_column(primary_key=True)
'''
METERS = '''"""The tables of the meters."""

from sqlalchemy import (
    CheckConstraint, Computed, Enum, ForeignKey, Identity, Index, Numeric, String,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import INT4RANGE, ExcludeConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database import Base


class Meter(Base):
    __tablename__ = "meter"
    __table_args__ = (
        CheckConstraint("price > 0", name="price_positive"),
        ExcludeConstraint(("seats", "&&"), name="ex_meter_seats"),
        Index("ix_meter_code", "code", postgresql_where="price > 1"),
        Index("ix_meter_price", "price"),
        UniqueConstraint("code"),
        {"schema": "energy"},
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    code: Mapped[str] = mapped_column(String(20))
    kind: Mapped[str] = mapped_column(Enum("gas", "water", name="kind"))
    price: Mapped[int] = mapped_column(Numeric(10, 2), server_default="7")
    double: Mapped[int] = mapped_column(Computed("price * 2", persisted=True))
    seats: Mapped[int] = mapped_column(INT4RANGE)
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("energy.meter.id"))
'''
# What Alembic does not notice, and what the generated test says of it.
UNNOTICED = {
    ("price > 0", "price > 5"): "meter, constraint ck_meter_price_positive: CHECK",
    ('"&&"', '"="'): "meter, constraint ex_meter_seats: EXCLUDE",
    ("price > 1", "price > 2"): "meter, index ix_meter_code: CREATE",
    (
        'Index("ix_meter_price", "price")',
        'Index("ix_meter_price", "price", postgresql_include=["code"])',
    ): "meter, index ix_meter_price: CREATE",
    (
        'UniqueConstraint("code")',
        'UniqueConstraint("code", deferrable=True)',
    ): "meter, constraint uq_meter_code: UNIQUE (code) instead of",
    ("Identity()", "Identity(always=True)"): "meter, column id: integer NOT NULL",
    ("String(20)", 'String(20, "C")'): "meter, column code: character varying(20)",
    ('"water"', '"water", "heat"'): "kind, values: gas, water instead of gas, heat",
    ('server_default="7"', 'server_default="8"'): "meter, default of price: ",
    ("price * 2", "price * 3"): "meter, column double: integer NOT NULL STORED",
}
COMMANDS = """
import sys
from alembic.config import main

for command in sys.argv[1:]:
    main(command.split())
"""


class Service:
    """A service whose tables a team changes, and its database."""

    def __init__(self, project: Project, postgres: Postgres) -> None:
        self.project, self.postgres = project, postgres
        self.environment = {
            "DATABASE_URL": postgres.url,
            "PYTHONPATH": str(project.path),
        }
        self.alembic("upgrade", "head")

    def alembic(self, *arguments: str, check: bool = True) -> str:
        return self.project.run(
            "alembic", *arguments, check=check, **self.environment
        ).stdout

    def sql(self, statement: str) -> str:
        return self.postgres.query(statement)

    def edit(self, path: str, before: str, after: str) -> None:
        file = self.project.path / path
        assert before in file.read_text()
        file.write_text(file.read_text().replace(before, after))

    def add_models(self, text: str, *names: str) -> None:
        (self.project.path / "app" / "models" / "team.py").write_text(text)
        path = self.project.path / "app" / "models" / "__init__.py"
        line = f"from app.models.team import {', '.join(names)}\n"
        exports = "".join(f'    "{name}",\n' for name in names)
        text = path.read_text().replace("\n__all__ = [\n", f"{line}\n__all__ = [\n")
        path.write_text(text.replace("__all__ = [\n", f"__all__ = [\n{exports}"))

    def autogenerate(self, complete: Callable[[str], str] = str) -> str:
        """Let Alembic write a revision, run it up, down and up, and return its text."""
        versions = self.project.path / "alembic" / "versions"
        before = set(versions.glob("*.py"))
        self.alembic("revision", "--autogenerate", "-m", f"Change {len(before)}")
        (path,) = set(versions.glob("*.py")) - before
        path.write_text(complete(path.read_text()))
        commands = ("upgrade head", "downgrade -1", "upgrade head", "check")
        self.project.run("python", "-c", COMMANDS, *commands, **self.environment)
        return path.read_text()


@pytest.fixture
def service(installed: Render, tmp_path: Path) -> Generator[Service]:
    project = installed().copy_with_environment(tmp_path / "project")
    postgres = Postgres(project, tmp_path / "postgres")
    postgres.start()
    yield Service(project, postgres)
    postgres.close()


def test_an_annotated_enum_needs_no_edit_of_its_revisions(service: Service) -> None:
    service.add_models(ENUMS, "Car")
    service.edit(
        "app/models/item.py",
        "    quantity: Mapped[int]\n",
        "    quantity: Mapped[int]\n    color: Mapped[Color | None]\n",
    )
    service.edit(
        "app/models/item.py",
        "\n\nclass Item(",
        "\nfrom app.models.team import Color\n\n\nclass Item(",
    )

    service.autogenerate()

    insert = "INSERT INTO car (id, color) VALUES (gen_random_uuid(), '{}')"
    service.sql(insert.format("red"))
    service.sql(insert.format("it''s green"))
    with pytest.raises(Exception, match="psql"):
        service.sql(insert.format("RED"))


def test_a_new_member_of_an_annotated_enum_is_noticed(service: Service) -> None:
    service.add_models(ENUMS, "Car")
    service.autogenerate()
    service.edit(
        "app/models/team.py",
        '    RED = "red"\n',
        '    RED = "red"\n    LONG = "a member that is longer"\n',
    )

    assert "ck_car_color" in service.alembic("check", check=False)
    service.autogenerate()

    service.sql(
        "INSERT INTO car (id, color) VALUES "
        "(gen_random_uuid(), 'a member that is longer')"
    )


def test_an_enum_that_was_native_without_a_word_has_to_be_named(
    service: Service,
) -> None:
    """As those are that were made before annotated enums became text."""
    service.add_models(ENUMS.replace("    roof: Mapped[Color | None]\n", ""), "Car")
    service.sql(
        "CREATE TYPE color AS ENUM ('RED', 'GREEN');"
        "CREATE TABLE car (id uuid CONSTRAINT pk_car PRIMARY KEY, color color NOT NULL)"
    )

    refused = service.alembic("check", check=False)
    service.edit(
        "app/models/team.py",
        "    color: Mapped[Color]\n",
        "    color: Mapped[Color] = mapped_column(Enum(Color))\n",
    )

    assert "car.color has a native enum type in the database" in refused
    assert "`mapped_column(Enum(Color))`" in refused
    assert "Traceback" not in refused
    service.alembic("check")


def test_a_native_enum_works_as_the_how_to_says(service: Service) -> None:
    text = section(HOW_TO, "Store an enum")
    (model,) = (line for line in blocks(text, "python") if "Enum(Color)" in line)
    create, drop = (f"    {line}" for line in blocks(text, "python") if "TYPE" in line)
    enum = 'Color = enum.Enum("Color", ["RED", "GREEN"])\n'
    item = "app/models/item.py"
    service.edit(item, "import uuid\n", "import enum\nimport uuid\n")
    service.edit(item, "import CheckConstraint", "import Enum, CheckConstraint")
    service.edit(item, "\n\nclass Item(", f"\n{enum}\n\nclass Item(")
    column = "    quantity: Mapped[int]\n"
    service.edit(
        item, column, f"{column}    {model.replace('Color]', 'Color | None]')}"
    )

    def complete(revision: str) -> str:
        head = "def upgrade() -> None:\n"
        return revision.replace(head, head + create) + drop

    service.autogenerate(complete)
    service.add_models(
        ENUMS.replace("Color(enum.StrEnum)", "Paint(enum.StrEnum)")
        .replace(
            "    color: Mapped[Color]",
            "    color: Mapped[Paint] = mapped_column(Enum(Paint))",
        )
        .replace("    roof: Mapped[Color | None]\n", ""),
        "Car",
    )
    service.autogenerate(lambda revision: revision + drop.replace("color", "paint"))


def test_the_generated_test_names_what_alembic_does_not_notice(
    service: Service,
) -> None:
    service.add_models(METERS, "Meter")
    create = "    op.execute('CREATE EXTENSION IF NOT EXISTS btree_gist')\n"
    head = "def upgrade() -> None:\n"
    drop = "    op.execute('DROP TYPE kind')\n"
    service.autogenerate(lambda revision: revision.replace(head, head + create) + drop)
    test = "tests/test_migrated_schema.py"
    service.project.run("pytest", "-q", test, **service.environment)
    for before, after in UNNOTICED:
        service.edit("app/models/team.py", before, after)

    service.alembic("check")
    report = service.project.run(
        "pytest", "-q", test, check=False, **service.environment
    ).stdout

    missing = [line for line in UNNOTICED.values() if line not in report]
    assert not missing, report
    named = re.findall("^E +(?:kind|meter), .* instead of ", report, re.MULTILINE)
    assert len(named) == len(UNNOTICED), report


def test_a_timestamp_that_gets_a_time_zone_keeps_its_moment(service: Service) -> None:
    """It was in UTC, whatever zone the database shows times in."""
    service.sql("ALTER DATABASE postgres SET timezone = 'America/New_York'")
    column = "    quantity: Mapped[int]\n"
    naive = "    at: Mapped[datetime | None] = mapped_column(DateTime)\n"
    item = "app/models/item.py"
    service.edit(item, "import uuid\n", "import uuid\nfrom datetime import datetime\n")
    service.edit(item, "import CheckConstraint", "import DateTime, CheckConstraint")
    service.edit(item, column, column + naive)
    service.autogenerate()
    service.sql(
        "INSERT INTO item (id, name, quantity, version, at)"
        "VALUES (gen_random_uuid(), 'Box', 1, 1, '2026-01-02 03:04:05')"
    )

    service.edit(item, " = mapped_column(DateTime)", "")
    service.autogenerate()

    at = service.sql("SELECT at AT TIME ZONE 'UTC' FROM item")
    assert at == "2026-01-02 03:04:05"


def test_tables_of_a_second_schema_are_like_all_others(service: Service) -> None:
    service.add_models(BILLING, "Invoice")
    tests = service.project.path / "tests"
    (tests / "test_invoices.py").write_text(BILLING_TEST)

    service.autogenerate()

    path = "tests/test_migrations.py"
    service.project.run(
        "pytest", "-q", "tests/test_invoices.py", path, **service.environment
    )
    service.edit("app/models/team.py", "    number: Mapped[str]", "    no: Mapped[str]")
    assert "number" in service.autogenerate()


def test_only_tables_of_the_service_are_compared(service: Service) -> None:
    service.add_models(EVENTS, "Event", "LegacyUser")
    service.edit(
        "app/models/__init__.py",
        "IGNORED_TABLES: list[str] = []",
        'IGNORED_TABLES = ["legacy_*"]',
    )
    service.autogenerate()
    service.sql(
        "CREATE TABLE event_2026 PARTITION OF event"
        " FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');"
        "INSERT INTO event (id, day) VALUES (1, '2026-02-03');"
        "CREATE EXTENSION citext; CREATE TABLE spatial_ref_sys (id int);"
        "ALTER EXTENSION citext ADD TABLE spatial_ref_sys;"
        "CREATE TABLE legacy_user (id bigint, name text);"
        "CREATE TABLE legacy_order (id int);"
        "CREATE SCHEMA reports; CREATE TABLE reports.sale (id int)"
    )

    service.alembic("check")
    service.sql("CREATE TABLE forgotten (id int)")

    found = service.alembic("check", check=False)
    assert set(re.findall(r"'(\w+)', Table\('(\w+)'", found)) == {
        ("remove_table", "forgotten")
    }


def test_a_service_that_ignores_nothing_needs_no_line_for_it(service: Service) -> None:
    """One that is older than the list has none in its own file."""
    path = service.project.path / "app" / "models" / "__init__.py"
    path.write_text(path.read_text().split("\n# Tables of other programs")[0])

    service.alembic("check")
    service.project.run(
        *("pytest", "-q", "tests/test_migrations.py", "tests/items"),
        **service.environment,
    )


def test_the_tables_of_a_feature_are_dropped_as_their_foreign_keys_require(
    service: Service,
) -> None:
    # Alembic does not look at a schema that no model uses.
    public = BILLING.replace('({"schema": "billing department"},)', "()")
    service.add_models(public, "Invoice")
    service.autogenerate()
    models = service.project.path / "app" / "models"
    for name in ("team", "item"):
        (models / f"{name}.py").unlink()
    init = models / "__init__.py"
    names = re.compile(r"^.*\b(Invoice|Item|Note)\b.*\n", re.MULTILINE)
    init.write_text(names.sub("", init.read_text()))

    revision = service.autogenerate()

    dropped = re.findall(r'op\.drop_table\("(\w+)"', revision.split("def downgrade")[0])
    assert sorted(dropped[:-1]) == ["invoice", "note"]
    assert dropped[-1] == "item"


def test_a_merge_of_two_heads_needs_no_edit(service: Service) -> None:
    for name in ("Ours", "Theirs"):
        service.alembic("revision", "-m", name, "--head", "d20e94b6a7c3", "--splice")
    service.project.run("ruff", "check", "--fix", "--quiet")
    service.project.run("ruff", "format", "--quiet")

    service.alembic("merge", "heads", "-m", "Join both")

    service.project.run("ruff", "check")
    service.project.run("ruff", "format", "--check")
    service.alembic("upgrade", "head")
