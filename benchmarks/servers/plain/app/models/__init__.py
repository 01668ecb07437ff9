from app.core.database import Base
from app.models.base import TimestampMixin, UUIDPrimaryKeyMixin
from app.models.item import Item

__all__ = ["Base", "Item", "TimestampMixin", "UUIDPrimaryKeyMixin"]
