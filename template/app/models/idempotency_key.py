"""The table of the answers that are given again to a request that is repeated."""

from sqlalchemy import Index

from app.core.database import Base
from app.core.http.idempotency import IdempotencyKeyMixin
from app.models.base import CreatedAtMixin


class IdempotencyKey(IdempotencyKeyMixin, CreatedAtMixin, Base):
    __tablename__ = "idempotency_key"
    __table_args__ = (Index(None, "created_at"),)
