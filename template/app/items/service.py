"""What can be done with items, in the database's terms."""

import uuid

from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.compiled_reads import CompiledRead, Reader
from app.core.errors import NotFoundError
from app.items.schemas import ItemCreate, ItemRead, ItemUpdate
from app.models import Item

ONE = CompiledRead(select(Item).where(Item.id == bindparam("id")), ItemRead)
PAGE = select(Item).order_by(Item.id).limit(bindparam("limit"))
FIRST_PAGE = CompiledRead(PAGE, ItemRead)
NEXT_PAGE = CompiledRead(PAGE.where(Item.id > bindparam("after")), ItemRead)


async def create_item(session: AsyncSession, new: ItemCreate) -> Item:
    item = Item(**new.model_dump())
    session.add(item)
    await session.flush()
    return item


async def get_item(reader: Reader, item_id: uuid.UUID) -> ItemRead:
    item = await reader.first(ONE, id=item_id)
    if item is None:
        raise NotFoundError(f"There is no item {item_id}.")
    return item


async def list_items(
    reader: Reader, *, after: uuid.UUID | None, limit: int
) -> list[ItemRead]:
    if after is None:
        return await reader.all(FIRST_PAGE, limit=limit)
    return await reader.all(NEXT_PAGE, limit=limit, after=after)


async def update_item(
    session: AsyncSession, item_id: uuid.UUID, changes: ItemUpdate
) -> Item:
    item = await _find(session, item_id)
    for field, value in changes.model_dump().items():
        setattr(item, field, value)
    await session.flush()
    return item


async def delete_item(session: AsyncSession, item_id: uuid.UUID) -> None:
    await session.delete(await _find(session, item_id))


async def _find(session: AsyncSession, item_id: uuid.UUID) -> Item:
    item = await session.get(Item, item_id)
    if item is None:
        raise NotFoundError(f"There is no item {item_id}.")
    return item
