"""Listeners of sessions that may add to what a session reads."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

Listener = TypeVar("Listener", bound=Callable[..., Any])


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
