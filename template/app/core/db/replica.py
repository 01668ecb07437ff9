"""Reads from a replica, and from the primary while the replica does not respond."""

import asyncio
import logging
from math import inf
from time import monotonic
from typing import Any
from weakref import WeakKeyDictionary

import asyncpg
from sqlalchemy import ExceptionContext, event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.db.failures import DRIVER_ERRORS, connect

RETRY_SECONDS = 10

logger = logging.getLogger(__name__)


class ReplicaFallback:
    """Connects to a replica, or to the primary while the replica is lost.

    A connection to the primary is replaced after ten seconds. Within that time only one
    request checks whether the replica is back: a replica that hangs delays one request,
    not each of them.
    """

    def __init__(self, *, primary: dict[str, Any]) -> None:
        self._primary = primary
        self._lost = False
        self._check_at = 0.0
        self._replace_at: WeakKeyDictionary[Any, float] = WeakKeyDictionary()

    async def connect(self, **replica: Any) -> asyncpg.Connection:
        """Connect as `asyncpg.connect` does with the arguments for the replica."""
        now = monotonic()
        if not self._lost or now >= self._check_at:
            self._check_at = now + RETRY_SECONDS
            try:
                connection = await asyncpg.connect(**replica)
            except (OSError, *DRIVER_ERRORS) as error:
                logger.warning("replica lost: %s", type(error).__name__)
                self._lost = True
            else:
                self._lost = False
                self._replace_at[connection] = inf
                return connection
        connection = await connect(**self._primary)
        self._replace_at[connection] = monotonic() + RETRY_SECONDS
        return connection

    def watch(self, engine: AsyncEngine) -> None:
        """Let the engine replace connections that are due."""

        @event.listens_for(engine.sync_engine, "checkout")
        def _(connection: Any, record: Any, proxy: Any) -> None:
            if monotonic() >= self._replace_at[connection.driver_connection]:
                raise DisconnectionError("The replica may be back, or lost.")

        @event.listens_for(engine.sync_engine, "handle_error")
        def _(context: ExceptionContext) -> None:
            self._suspect(context.original_exception)

        # A compiled read invalidates a connection that hangs.
        @event.listens_for(engine.sync_engine, "invalidate")
        def _(connection: Any, record: Any, error: BaseException | None) -> None:
            self._suspect(error)

    def _suspect(self, error: BaseException | None) -> None:
        """Replace all connections to the replica: where one hangs, the others would too."""
        if not isinstance(error, TimeoutError | asyncio.CancelledError):
            return
        if self._lost or monotonic() >= self._check_at:
            for connection, replace_at in list(self._replace_at.items()):
                if replace_at == inf:
                    self._replace_at[connection] = 0
