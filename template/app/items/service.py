"""What can be done with items, in the database's terms."""

import uuid
from collections.abc import Container

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload
from sqlalchemy.orm.interfaces import ORMOption

from app.core.errors import NotFoundError, PreconditionFailedError
from app.core.pagination import Order, Rows, get_page
from app.items.schemas import ItemCreate, ItemQuery, ItemUpdate, NoteCreate, Sort
from app.models import Item, Note

ORDERS: dict[Sort, Order] = {
    "created_at": Order(Item.created_at, Item.id),
    "-created_at": Order(Item.created_at, Item.id, descending=True),
    "quantity": Order(Item.quantity, Item.id),
    "-quantity": Order(Item.quantity, Item.id, descending=True),
}
ITEMS = select(Item)
WITH_NOTES = selectinload(Item.notes)


async def create_item(session: AsyncSession, new: ItemCreate) -> Item:
    item = Item(**new.model_dump())
    session.add(item)
    await session.flush()
    return item


async def list_items(session: AsyncSession, query: ItemQuery) -> Rows[Item]:
    items = ITEMS if query.name is None else ITEMS.where(Item.name == query.name)
    return await get_page(session, items, ORDERS[query.sort], query)


async def get_item(
    session: AsyncSession, item_id: uuid.UUID, *options: ORMOption
) -> Item:
    """Return an item, with what the options load of its relationships, or raise."""
    item = await session.get(Item, item_id, options=options)
    if item is None:
        raise NotFoundError(f"There is no item {item_id}.")
    return item


async def update_item(
    session: AsyncSession,
    item_id: uuid.UUID,
    changes: ItemUpdate,
    *,
    expected: Container[int],
) -> Item:
    """Change an item whose version is an expected one, or raise."""
    item = await _get_expected(session, item_id, expected)
    for field, value in changes.model_dump().items():
        setattr(item, field, value)
    await session.flush()
    return item


async def delete_item(
    session: AsyncSession, item_id: uuid.UUID, *, expected: Container[int]
) -> None:
    """Delete an item, and its notes, whose version is an expected one, or raise."""
    await session.delete(await _get_expected(session, item_id, expected))


async def _get_expected(
    session: AsyncSession, item_id: uuid.UUID, expected: Container[int]
) -> Item:
    item = await get_item(session, item_id)
    if item.version not in expected:
        raise PreconditionFailedError(
            f"Item {item_id} has another version by now: read it again."
        )
    return item


async def create_note(
    session: AsyncSession, item_id: uuid.UUID, new: NoteCreate
) -> Note:
    await get_item(session, item_id)
    note = Note(item_id=item_id, **new.model_dump())
    session.add(note)
    await session.flush()
    return note
