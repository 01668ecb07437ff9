"""The columns that tables have in common."""

import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped
from sqlalchemy.orm.exc import StaleDataError

from app.models import IdentityPrimaryKeyMixin, TimestampMixin, UUIDPrimaryKeyMixin
from app.models.base import VersionMixin


class Base(DeclarativeBase):
    """Apart from the service's own tables."""


class Request(UUIDPrimaryKeyMixin, TimestampMixin, Base):
    __tablename__ = "test_request"

    status: Mapped[str]


class Document(IdentityPrimaryKeyMixin, VersionMixin, Base):
    __tablename__ = "test_document"

    text: Mapped[str]


class AuditEntry(IdentityPrimaryKeyMixin, Base):
    __tablename__ = "test_audit_entry"

    text: Mapped[str]


@pytest.fixture(autouse=True)
async def tables(connection: AsyncConnection) -> None:
    await connection.run_sync(Base.metadata.create_all)


async def test_the_times_of_a_row_can_be_read_after_a_change(
    session: AsyncSession,
) -> None:
    request = Request(status="received")
    session.add(request)
    await session.flush()
    request.status = "done"
    await session.flush()

    # A lazy load, which an async session refuses, if the flush had not read it.
    assert request.updated_at.tzinfo is not None
    assert request.created_at.tzinfo is not None


async def test_a_uuid_key_grows_with_time(session: AsyncSession) -> None:
    for number in range(10):
        session.add(Request(status=str(number)))
        await session.flush()

    requests = (await session.scalars(select(Request).order_by(Request.id))).all()

    assert [request.status for request in requests] == [str(n) for n in range(10)]
    assert {request.id.version for request in requests} == {7}


async def test_postgresql_counts_the_rows_of_an_append_only_table(
    session: AsyncSession,
) -> None:
    session.add_all(AuditEntry(text=text) for text in "abc")
    await session.flush()

    entries = (await session.scalars(select(AuditEntry).order_by(AuditEntry.id))).all()

    assert [(entry.id, entry.text) for entry in entries] == [
        (1, "a"),
        (2, "b"),
        (3, "c"),
    ]


async def test_an_update_of_many_rows_increments_their_versions(
    session: AsyncSession,
) -> None:
    session.add_all([Document(text="a"), Document(text="b"), AuditEntry(text="a")])
    await session.flush()
    # Of two tables, each of which could have a version.
    changed = update(Document).where(Document.text == AuditEntry.text).values(text="c")

    await session.execute(update(Document).values(text=Document.text))
    returned = await session.execute(changed.returning(Document.version))

    assert returned.all() == [(3,)]
    versions = select(Document.version).order_by(Document.id)
    assert (await session.scalars(versions)).all() == [3, 2]


@pytest.mark.parametrize("delete", [False, True])
async def test_a_row_that_changed_since_it_was_read_is_not_overwritten(
    session: AsyncSession, delete: bool
) -> None:
    document = Document(text="first")
    session.add(document)
    await session.flush()
    faster = update(Document).values(version=2)
    await session.execute(faster.execution_options(synchronize_session=False))

    if delete:
        await session.delete(document)
    document.text = "second"
    with pytest.raises(StaleDataError):
        await session.flush()


def test_the_key_is_the_first_column_and_the_times_are_the_last() -> None:
    assert [column.name for column in Document.__table__.columns] == [
        "id",
        "text",
        "version",
        "created_at",
        "updated_at",
    ]
