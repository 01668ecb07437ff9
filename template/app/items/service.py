"""Operations on items, in the database's terms."""

import uuid
from collections.abc import Container

from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from app.core.db.compiled_inserts import CompiledInsert, Writer
from app.core.db.compiled_pages import CompiledPages
from app.core.db.compiled_reads import CompiledRead, Reader
from app.core.db.pagination import Keyset, Page
from app.core.errors import NotFoundError, PreconditionFailedError
from app.items.schemas import (
    ItemCreate,
    ItemQuery,
    ItemRead,
    ItemUpdate,
    NoteCreate,
    Sort,
)
from app.models import Item, Note

ORDERS: dict[Sort, Keyset] = {
    "created_at": Keyset(Item.created_at, Item.id),
    "-created_at": Keyset(Item.created_at, Item.id, descending=True),
    "quantity": Keyset(Item.quantity, Item.id),
    "-quantity": Keyset(Item.quantity, Item.id, descending=True),
}
ADD = CompiledInsert(Item, ItemRead)
ONE = CompiledRead(select(Item).where(Item.id == bindparam("id")), ItemRead)
PAGES = CompiledPages(
    select(Item),
    ItemRead,
    orders=ORDERS,
    filters={"name": Item.name == bindparam("name")},
)


async def create_item(writer: Writer, new: ItemCreate) -> ItemRead:
    return await writer.add(ADD, Item(**new.model_dump()))


async def list_items(reader: Reader, query: ItemQuery) -> Page[ItemRead]:
    return await PAGES.get(reader, query, sort=query.sort, name=query.name)


async def get_item(reader: Reader, item_id: uuid.UUID) -> ItemRead:
    item = await reader.first(ONE, id=item_id)
    if item is None:
        raise _not_found(item_id)
    return item


async def update_item(
    session: AsyncSession,
    item_id: uuid.UUID,
    changes: ItemUpdate,
    *,
    expected: Container[int],
) -> Item:
    """Change an item if its version is an expected one, or raise."""
    item = await _get_expected(session, item_id, expected)
    for field, value in changes.model_dump().items():
        setattr(item, field, value)
    await session.flush()
    return item


async def delete_item(
    session: AsyncSession, item_id: uuid.UUID, *, expected: Container[int]
) -> None:
    """Delete an item and its notes if its version is an expected one, or raise."""
    await session.delete(await _get_expected(session, item_id, expected))


async def _get_expected(
    session: AsyncSession, item_id: uuid.UUID, expected: Container[int]
) -> Item:
    item = await session.get(Item, item_id)
    if item is None:
        raise _not_found(item_id)
    if item.version not in expected:
        raise PreconditionFailedError(
            f"Item {item_id} has another version by now. Fetch it again."
        )
    return item


def _not_found(item_id: uuid.UUID) -> NotFoundError:
    return NotFoundError(f"There is no item {item_id}.")


async def create_note(
    session: AsyncSession, item_id: uuid.UUID, new: NoteCreate
) -> Note:
    if await session.get(Item, item_id) is None:
        raise _not_found(item_id)
    note = Note(item_id=item_id, **new.model_dump())
    session.add(note)
    await session.flush()
    return note


async def list_notes(session: AsyncSession, item_id: uuid.UUID) -> list[Note]:
    item = await session.get(Item, item_id, options=[selectinload(Item.notes)])
    if item is None:
        raise _not_found(item_id)
    return item.notes
