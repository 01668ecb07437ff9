"""Idempotency keys that are old enough to be deleted."""

from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import DeclarativeBase

from app.core import old_keys
from app.core.config import settings
from app.core.http.idempotency import IdempotencyKeyMixin
from app.core.jobs import enqueue
from app.models import CreatedAtMixin

REMAINING = text("SELECT key FROM test_old_key ORDER BY key")


class Base(DeclarativeBase):
    """Apart from the service's own tables."""


class Key(IdempotencyKeyMixin, CreatedAtMixin, Base):
    __tablename__ = "test_old_key"


@pytest.fixture
async def keys(connection: AsyncConnection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Store five old keys and a new one."""
    monkeypatch.setattr(old_keys.Base, "registry", Base.registry)
    monkeypatch.setattr(settings, "IDEMPOTENCY_KEY_HOURS", 2)
    await connection.run_sync(Base.metadata.create_all)
    await connection.execute(
        text("""
            INSERT INTO test_old_key (key, fingerprint, status, headers, body, created_at)
            SELECT key, '', 200, '{}', '', now() - age * interval '1 hour'
            FROM (
                SELECT 'old ' || number, 3 FROM generate_series(1, 5) AS number
                UNION VALUES ('new', 1)
            ) AS keys (key, age)
        """)
    )


async def remaining(connection: AsyncConnection) -> list[str]:
    return [*await connection.scalars(REMAINING)]


@pytest.mark.parametrize(("batch", "runs"), [(2, 3), (5, 2), (1000, 1)])
async def test_old_keys_are_deleted_in_batches_each_in_a_transaction_of_its_own(
    keys: None,
    batch: int,
    runs: int,
    connection: AsyncConnection,
    session: AsyncSession,
    run_jobs: Callable[[], Awaitable[int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(old_keys, "BATCH", batch)

    await enqueue(session, old_keys.delete_old_keys.call())

    assert await run_jobs() == runs
    assert await remaining(connection) == ["new"]


def test_the_workers_delete_old_keys_every_ten_minutes() -> None:
    assert old_keys.delete_old_keys.every == "*/10 * * * *"
