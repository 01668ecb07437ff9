"""The HTTP interface of the items."""

import uuid
from http import HTTPStatus
from typing import Annotated

from fastapi import Request, Response

from app.core.database import ReaderDep, ReadSessionDep, SessionDep
from app.core.db.pagination import Page
from app.core.http.etags import (
    ETAG,
    ETAG_AND_LOCATION,
    NOT_MODIFIED,
    IfMatch,
    IfNoneMatch,
    etag,
    not_modified,
)
from app.core.http.idempotency import IdempotencyDep
from app.core.http.openapi import problems
from app.core.http.query_models import query_model
from app.core.http.routing import FeatureRouter
from app.items import service
from app.items.schemas import (
    ItemCreate,
    ItemQuery,
    ItemRead,
    ItemUpdate,
    NoteCreate,
    NoteRead,
)
from app.models import IdempotencyKey, Item, Note

router = FeatureRouter(prefix="/items", tags=["items"])


@router.post(
    "",
    status_code=HTTPStatus.CREATED,
    response_model=ItemRead,
    responses={201: ETAG_AND_LOCATION, **problems(409)},
)
async def create_item(
    request: Request, session: SessionDep, idempotency: IdempotencyDep, new: ItemCreate
) -> Response:
    """Add an item; its name must be new."""

    async def create() -> Response:
        item = await service.create_item(session, new)
        return Response(
            ItemRead.model_validate(item).model_dump_json(),
            HTTPStatus.CREATED,
            {"Location": f"{request.url.path}/{item.id}", "ETag": etag(item.version)},
            media_type="application/json",
        )

    return await idempotency.replay_or_run(IdempotencyKey, create)


@router.get("")
async def list_items(
    reader: ReaderDep, query: Annotated[ItemQuery, query_model(ItemQuery)]
) -> Page[ItemRead]:
    """List items, oldest first unless `sort` says otherwise."""
    return await service.list_items(reader, query)


@router.get(
    "/{item_id}",
    response_model=ItemRead,
    responses={200: ETAG, 304: NOT_MODIFIED, **problems(404)},
)
async def get_item(
    reader: ReaderDep,
    item_id: uuid.UUID,
    response: Response,
    if_none_match: IfNoneMatch = None,
) -> ItemRead | Response:
    """Return an item; with `If-None-Match`, a 304 if the client has its version."""
    item = await service.get_item(reader, item_id)
    response.headers["ETag"] = etag(item.version)
    if not_modified(if_none_match, item.version):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=response.headers)
    return item


@router.patch(
    "/{item_id}",
    response_model=ItemRead,
    responses={200: ETAG, **problems(404, 409, 412, 428)},
)
async def update_item(
    session: SessionDep,
    item_id: uuid.UUID,
    changes: ItemUpdate,
    expected: IfMatch,
    response: Response,
) -> Item:
    """Change the fields that are sent and leave the others alone."""
    item = await service.update_item(session, item_id, changes, expected=expected)
    response.headers["ETag"] = etag(item.version)
    return item


@router.delete(
    "/{item_id}",
    status_code=HTTPStatus.NO_CONTENT,
    responses=problems(404, 412, 428),
)
async def delete_item(
    session: SessionDep, item_id: uuid.UUID, expected: IfMatch
) -> None:
    """Delete an item and its notes."""
    await service.delete_item(session, item_id, expected=expected)


@router.post(
    "/{item_id}/notes",
    status_code=HTTPStatus.CREATED,
    response_model=NoteRead,
    responses=problems(404, 409),
)
async def create_note(session: SessionDep, item_id: uuid.UUID, new: NoteCreate) -> Note:
    """Add a note to an item."""
    return await service.create_note(session, item_id, new)


@router.get("/{item_id}/notes", response_model=list[NoteRead], responses=problems(404))
async def list_notes(session: ReadSessionDep, item_id: uuid.UUID) -> list[Note]:
    """List the notes of an item, oldest first."""
    return await service.list_notes(session, item_id)
