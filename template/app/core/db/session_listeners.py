"""Listeners of sessions that may add to what a session reads or writes."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

Listener = TypeVar("Listener", bound=Callable[..., Any])

# The events of a session that adds a row and commits it.
WRITE_EVENTS = (
    "after_begin",
    "after_transaction_create",
    "after_transaction_end",
    "before_attach",
    "after_attach",
    "transient_to_pending",
    "before_flush",
    "after_flush",
    "pending_to_persistent",
    "after_flush_postexec",
    "before_commit",
    "after_commit",
)


def leaves_reads_alone(listener: Listener) -> Listener:
    """Mark a listener to `do_orm_execute` or `after_begin` that adds nothing to reads."""
    vars(listener)["leaves_reads_alone"] = True
    return listener


def refuse_listeners(listeners: Iterable[Listener]) -> None:
    """Raise RuntimeError for a listener that is not marked to leave reads alone.

    Compiled reads run no listeners: they would drop the condition of a soft delete or of
    a tenant.
    """
    for listener in listeners:
        if not hasattr(listener, "leaves_reads_alone"):
            raise RuntimeError(
                f"{listener!r} may add to what a session reads, and a compiled read would "
                "drop it. Read with ReadSessionDep, or mark the listener as "
                "@leaves_reads_alone."
            )


def refuse_write_listeners(events: Any) -> None:
    """Raise RuntimeError for a listener to what a session does to add a row.

    Compiled inserts run no listeners: they would drop an entry of an audit log, or a
    setting of the transaction.
    """
    for name in WRITE_EVENTS:
        if getattr(events, name):
            raise RuntimeError(
                f"Sessions have a listener to {name!r}, which a compiled insert would not "
                "run. Write with SessionDep."
            )
