"""Requests that a client may repeat until it has an answer: the Idempotency-Key header.

After draft-ietf-httpapi-idempotency-key-header-07: the same request gets the same answer
again, another one with the same key a 422, and one that comes while the first is still
being done a 409. Keys stay until a job of yours deletes the old ones, by `created_at`.
"""

from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Annotated

from fastapi import Depends, Header, Request, Response
from sqlalchemy import String, func, insert, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database import SessionDep
from app.core.errors import ConflictError, InvalidError


class IdempotencyKeyMixin:
    """The columns of a table of keys, each with the request and its answer."""

    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    fingerprint: Mapped[bytes]
    status: Mapped[int]
    headers: Mapped[dict[str, str]] = mapped_column(JSONB)
    body: Mapped[bytes]


class Once:
    """Does what a request asks for, or answers as it did when it was asked before."""

    def __init__(
        self, request: Request, session: AsyncSession, key: str | None
    ) -> None:
        self._request, self._session, self._key = request, session, key

    async def __call__(
        self,
        table: type[IdempotencyKeyMixin],
        answer: Callable[[], Awaitable[Response]],
        *,
        owner: object = None,
    ) -> Response:
        """Keep the answer in the transaction of its work: both are there, or neither.

        `owner` is who asks, where clients have accounts: another one never gets the
        answer. Raises ConflictError and InvalidError. An error that `answer` raises is
        not kept.
        """
        key, session = self._key, self._session
        if key is None:
            return await answer()
        lock = func.pg_try_advisory_xact_lock(func.hashtextextended(key, 0))
        if not await session.scalar(select(lock)):
            raise ConflictError("The same request is still being done. Try again.")
        url = self._request.url
        path = f"{url.path}?{url.query}" if url.query else url.path
        target = f"{owner}\n{self._request.method} {path}\n".encode()
        fingerprint = sha256(target + await self._request.body()).digest()
        known = await session.get(table, key)
        if known is None:
            response = await answer()
            keep = insert(table).values(
                key=key,
                fingerprint=fingerprint,
                status=response.status_code,
                headers=dict(response.headers),
                body=response.body,
            )
            await session.execute(keep)
            return response
        if known.fingerprint != fingerprint:
            raise InvalidError(
                "The Idempotency-Key belongs to another request: send a new one.",
                loc=["header", "Idempotency-Key"],
            )
        return Response(known.body, known.status, known.headers)


# Not the class itself: FastAPI calls what is not a coroutine in a thread.
async def _once(
    request: Request,
    session: SessionDep,
    idempotency_key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            max_length=255,
            pattern="^[!-~]+$",
            description="A new UUID for each request, and the same one to repeat it.",
            examples=["8e03978e-40d5-43e8-bc93-6894a57f9324"],
        ),
    ] = None,
) -> Once:
    return Once(request, session, idempotency_key)


OnceDep = Annotated[Once, Depends(_once)]
