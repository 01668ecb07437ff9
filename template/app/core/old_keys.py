"""The job that deletes idempotency keys which no client repeats any more."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, func, select

from app.core.config import settings
from app.core.database import Base
from app.core.http.idempotency import IdempotencyKeyMixin
from app.core.jobs import Run, enqueue, job

# Rows of one transaction.
BATCH = 1000


@job(every="*/10 * * * *")
async def delete_old_keys(run: Run) -> None:
    """Delete keys older than IDEMPOTENCY_KEY_HOURS from each table with a `created_at`."""
    oldest = func.now() - timedelta(hours=settings.IDEMPOTENCY_KEY_HOURS)
    for table, created_at in tables():
        old = select(table.key).where(created_at < oldest).limit(BATCH)
        deleted = await run.session.scalars(
            delete(table).where(table.key.in_(old)).returning(table.key)
        )
        if len(deleted.all()) == BATCH:
            await enqueue(run.session, delete_old_keys.call())


def tables() -> Iterator[tuple[type[IdempotencyKeyMixin], Any]]:
    """Yield each table of keys that has a `created_at`, with that column."""
    for mapper in Base.registry.mappers:
        created_at = mapper.columns.get("created_at")
        if issubclass(mapper.class_, IdempotencyKeyMixin) and created_at is not None:
            yield mapper.class_, created_at
