"""The table of responses that are replayed to repeated requests."""

from sqlalchemy import Index

from app.core.database import Base
from app.core.http.idempotency import IdempotencyKeyMixin
from app.models.base import CreatedAtMixin


class IdempotencyKey(IdempotencyKeyMixin, CreatedAtMixin, Base):
    __tablename__ = "idempotency_key"
    __table_args__ = (Index(None, "created_at"),)
