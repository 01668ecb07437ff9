"""Moved to `app.core.http.idempotency`; import from there: 1.0 drops this path."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Response

from app.core.http.idempotency import Idempotency as Once
from app.core.http.idempotency import IdempotencyDep, IdempotencyKeyMixin

__all__ = ["IdempotencyKeyMixin", "Once", "OnceDep"]


async def _once(idempotency: IdempotencyDep) -> Callable[..., Awaitable[Response]]:
    return idempotency.replay_or_run


OnceDep = Annotated[Callable[..., Awaitable[Response]], Depends(_once)]
