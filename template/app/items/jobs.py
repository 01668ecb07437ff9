"""The jobs of the items."""

import uuid

from sqlalchemy.dialects.postgresql import insert

from app.core.jobs import Run, job
from app.models import Item, Note


@job()
async def add_first_note(run: Run, item_id: uuid.UUID) -> None:
    """Add a note to a new item: one, however often the job runs."""
    # Locked, so that it is not deleted before the note refers to it.
    item = await run.session.get(Item, item_id, with_for_update={"key_share": True})
    if item is not None:
        note = insert(Note).values(id=run.key, item_id=item_id, text="Added.")
        await run.session.execute(note.on_conflict_do_nothing())
