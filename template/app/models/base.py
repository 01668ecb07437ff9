"""Columns that tables have in common."""

import uuid
from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger, Column, DateTime, Identity, Table, event, func
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.sql.schema import ColumnElementColumnDefault
from uuid_utils.compat import uuid7


class UUIDPrimaryKeyMixin:
    """A UUIDv7 key (RFC 9562): in order of creation, so an index grows at its end."""

    id: Mapped[uuid.UUID] = mapped_column(
        primary_key=True, default=uuid7, sort_order=-100
    )


class IdentityPrimaryKeyMixin:
    """A bigint key that PostgreSQL generates, for append-only rows such as an audit log."""

    id: Mapped[int] = mapped_column(
        BigInteger, Identity(always=True), primary_key=True, sort_order=-100
    )


class CreatedAtMixin:
    """The start of the transaction that inserted the row, by PostgreSQL's clock."""

    created_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now(), sort_order=100
    )


class TimestampMixin(CreatedAtMixin):
    """`created_at`, and `updated_at`: the start of the last transaction that changed it.

    A model with `__mapper_args__` of its own starts them with
    `**TimestampMixin.__mapper_args__`.
    """

    # Fetches the new updated_at with the UPDATE itself: fetching it later would be a lazy
    # load, which an async session refuses.
    __mapper_args__: ClassVar[dict[str, Any]] = {"eager_defaults": True}

    updated_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True),
        server_default=func.now(),
        onupdate=func.now(),
        sort_order=101,
    )


def _count_updates(version: Column[int], _: Table) -> None:
    # SQLAlchemy itself counts changes of objects only. If an `update(…)` left the version
    # alone, a client would get a 304, and could overwrite what it has never seen.
    version.onupdate = ColumnElementColumnDefault(version + 1, for_update=True)


class VersionMixin(TimestampMixin):
    """The times, and a `version` that every UPDATE increments.

    An UPDATE or DELETE of a version that is no longer current raises StaleDataError: of
    two concurrent changes, the second is a 412. `app.core.http.etags` shows the version to
    clients. In `on_conflict_do_update`, increment it in `set_`: SQLAlchemy does not.
    """

    version: Mapped[int] = mapped_column(sort_order=99)

    __mapper_args__: ClassVar[dict[str, Any]] = {
        **TimestampMixin.__mapper_args__,
        "version_id_col": version,
    }

    event.listen(version.column, "after_parent_attach", _count_updates, propagate=True)
