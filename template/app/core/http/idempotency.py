"""Requests that a client may safely repeat: the Idempotency-Key header.

After draft-ietf-httpapi-idempotency-key-header-07: a repeated request gets the stored
response, another request with the same key a 422, and one that arrives while the first is
still in progress a 409. Keys stay until a job deletes old ones, by `created_at`.
"""

import json
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Annotated

from fastapi import Depends, Header, Request, Response
from sqlalchemy import String, func, insert, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column
from starlette.datastructures import UploadFile

from app.core.database import SessionDep, WriterDep
from app.core.db.compiled_inserts import SessionWriter, Writer
from app.core.errors import ConflictError, InvalidError

FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")


class IdempotencyKeyMixin:
    """The columns of a table of keys, each with its request and response."""

    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    fingerprint: Mapped[bytes]
    status: Mapped[int]
    headers: Mapped[dict[str, str]] = mapped_column(JSONB)
    body: Mapped[bytes]


class Idempotency:
    """Runs a request once; replays the stored response when it is repeated."""

    def __init__(
        self, request: Request, session: AsyncSession, writer: Writer, key: str | None
    ) -> None:
        self._request, self._session, self._key = request, session, key
        # Runs compiled inserts: in the transaction of the key, or without a key each in its
        # own.
        self.writer = writer if key is None else SessionWriter(session)

    async def replay_or_run(
        self,
        table: type[IdempotencyKeyMixin],
        run: Callable[[], Awaitable[Response]],
        *,
        owner: object = None,
    ) -> Response:
        """Return the stored response, or call `run`, at most once, and store its response.

        The response is stored in the transaction of the work: both are committed, or
        neither. `owner` identifies the client where clients have accounts: each has keys
        of its own, so that no other one gets the response. Raises ConflictError and
        InvalidError. An error that `run` raises is not stored.
        """
        key, session = self._key, self._session
        if key is None:
            return await run()
        if owner is not None:
            # As a digest: the column holds 255 characters. A key has no line break.
            key = sha256(f"{owner}\n{key}".encode()).hexdigest()
        lock = func.pg_try_advisory_xact_lock(func.hashtextextended(key, 0))
        if not await session.scalar(select(lock)):
            raise ConflictError("The same request is still in progress. Try again.")
        url = self._request.url
        path = f"{url.path}?{url.query}" if url.query else url.path
        target = f"{owner}\n{self._request.method} {path}\n".encode()
        fingerprint = sha256(target + await _content_of(self._request)).digest()
        known = await session.get(table, key)
        if known is None:
            response = await run()
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
                "This Idempotency-Key belongs to another request. Send a new one.",
                loc=["header", "Idempotency-Key"],
            )
        return Response(known.body, known.status, known.headers)


async def _content_of(request: Request) -> bytes:
    """Return the body of a request, or the fields of a form, whose body was read before.

    The same form may have another body when it is repeated: the boundary is random.
    """
    try:
        return await request.body()
    except RuntimeError:  # The stream was consumed.
        if not request.headers.get("content-type", "").lower().startswith(FORMS):
            raise
    form = await request.form()
    fields = [
        (name, value if isinstance(value, str) else await _content_of_file(value))
        for name, value in form.multi_items()
    ]
    return json.dumps(fields).encode()


async def _content_of_file(file: UploadFile) -> list[str | None]:
    digest = sha256()
    await file.seek(0)
    while part := await file.read(65_536):
        digest.update(part)
    await file.seek(0)
    return [file.filename, file.content_type, digest.hexdigest()]


# Not the class itself: FastAPI calls what is not a coroutine function in a thread.
async def _idempotency(
    request: Request,
    session: SessionDep,
    writer: WriterDep,
    idempotency_key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            max_length=255,
            pattern="^[!-~]+$",
            description="A new UUID for each request; the same one to repeat it.",
            examples=["8e03978e-40d5-43e8-bc93-6894a57f9324"],
        ),
    ] = None,
) -> Idempotency:
    return Idempotency(request, session, writer, idempotency_key)


IdempotencyDep = Annotated[Idempotency, Depends(_idempotency)]
