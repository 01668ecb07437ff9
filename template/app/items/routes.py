"""The HTTP interface of the items."""

import uuid
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query

from app.core.compiled_reads import ReaderDep
from app.core.database import SessionDep
from app.items import service
from app.items.schemas import ItemCreate, ItemRead, ItemUpdate
from app.models import Item

router = APIRouter(prefix="/items", tags=["items"])


@router.post("", status_code=HTTPStatus.CREATED, response_model=ItemRead)
async def create_item(session: SessionDep, new: ItemCreate) -> Item:
    """Add an item; its name must be new."""
    return await service.create_item(session, new)


@router.get("")
async def list_items(
    reader: ReaderDep,
    after: uuid.UUID | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> list[ItemRead]:
    """List items, oldest first; `after` is the id of the last one already seen."""
    return await service.list_items(reader, after=after, limit=limit)


@router.get("/{item_id}")
async def get_item(reader: ReaderDep, item_id: uuid.UUID) -> ItemRead:
    return await service.get_item(reader, item_id)


@router.patch("/{item_id}", response_model=ItemRead)
async def update_item(
    session: SessionDep, item_id: uuid.UUID, changes: ItemUpdate
) -> Item:
    """Change the fields that are sent; the others stay as they are."""
    return await service.update_item(session, item_id, changes)


@router.delete("/{item_id}", status_code=HTTPStatus.NO_CONTENT)
async def delete_item(session: SessionDep, item_id: uuid.UUID) -> None:
    await service.delete_item(session, item_id)
