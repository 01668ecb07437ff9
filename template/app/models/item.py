"""The tables of the items."""

import uuid

from sqlalchemy import CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.core.database import Base
from app.models.base import CreatedAtMixin, UUIDPrimaryKeyMixin, VersionMixin


class Item(UUIDPrimaryKeyMixin, VersionMixin, Base):
    __tablename__ = "item"
    __table_args__ = (
        CheckConstraint("quantity >= 0", name="quantity_not_negative"),
        # One for each sort order of the list.
        Index(None, "created_at", "id"),
        Index(None, "quantity", "id"),
    )

    name: Mapped[str] = mapped_column(String(100), unique=True)
    description: Mapped[str | None] = mapped_column(String(1000))
    quantity: Mapped[int]

    # PostgreSQL deletes them with the item; a query loads them only if it asks to.
    notes: Mapped[list["Note"]] = relationship(
        cascade="all, delete-orphan",
        lazy="raise",
        order_by="Note.id",
        passive_deletes=True,
    )


class Note(UUIDPrimaryKeyMixin, CreatedAtMixin, Base):
    __tablename__ = "note"

    item_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("item.id", ondelete="CASCADE"), index=True
    )
    text: Mapped[str] = mapped_column(String(1000))
