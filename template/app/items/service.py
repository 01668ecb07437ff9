"""What can be done with items, in the database's terms."""

import uuid
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import NotFoundError
from app.items.schemas import ItemCreate, ItemUpdate
from app.models import Item


async def create_item(session: AsyncSession, new: ItemCreate) -> Item:
    item = Item(**new.model_dump())
    session.add(item)
    await session.flush()
    return item


async def get_item(session: AsyncSession, item_id: uuid.UUID) -> Item:
    item = await session.get(Item, item_id)
    if item is None:
        raise NotFoundError(f"There is no item {item_id}.")
    return item


async def list_items(
    session: AsyncSession, *, after: uuid.UUID | None, limit: int
) -> Sequence[Item]:
    query = select(Item).order_by(Item.id).limit(limit)
    if after is not None:
        query = query.where(Item.id > after)
    return (await session.scalars(query)).all()


async def update_item(
    session: AsyncSession, item_id: uuid.UUID, changes: ItemUpdate
) -> Item:
    item = await get_item(session, item_id)
    for field, value in changes.model_dump().items():
        setattr(item, field, value)
    await session.flush()
    return item


async def delete_item(session: AsyncSession, item_id: uuid.UUID) -> None:
    await session.delete(await get_item(session, item_id))
