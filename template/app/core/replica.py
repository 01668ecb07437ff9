"""Reads on a replica, and on the primary while the replica does not answer."""

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

from app.core.database_errors import DRIVER

RETRY_SECONDS = 10

logger = logging.getLogger(__name__)


class ReplicaOrPrimary:
    """Connects to a replica, or as `primary` says while the replica is lost.

    A connection to the primary is replaced after ten seconds. In that time only one asks
    whether the replica is back: one that hangs delays a request, but not each of them.
    """

    def __init__(self, primary: dict[str, Any]) -> None:
        self._primary = primary
        self._lost = False
        self._ask_at = 0.0
        self._replace_at: WeakKeyDictionary[Any, float] = WeakKeyDictionary()

    async def connect(self, **replica: Any) -> asyncpg.Connection:
        """Do what `asyncpg.connect` does, which is given how to connect to the replica."""
        now = monotonic()
        if not self._lost or now >= self._ask_at:
            self._ask_at = now + RETRY_SECONDS
            try:
                connection = await asyncpg.connect(**replica)
            except (OSError, *DRIVER) as error:
                logger.warning("replica lost: %s", type(error).__name__)
                self._lost = True
            else:
                self._lost = False
                self._replace_at[connection] = inf
                return connection
        connection = await asyncpg.connect(**self._primary)
        self._replace_at[connection] = monotonic() + RETRY_SECONDS
        return connection

    def watch(self, engine: AsyncEngine) -> None:
        """Let the engine replace its connections when their time has come."""

        @event.listens_for(engine.sync_engine, "checkout")
        def _(connection: Any, record: Any, proxy: Any) -> None:
            if monotonic() >= self._replace_at[connection.driver_connection]:
                raise DisconnectionError("The replica may be back, or lost.")

        @event.listens_for(engine.sync_engine, "handle_error")
        def _(context: ExceptionContext) -> None:
            self._doubt(context.original_exception)

        # What a compiled read does with a connection that hangs.
        @event.listens_for(engine.sync_engine, "invalidate")
        def _(connection: Any, record: Any, error: BaseException | None) -> None:
            self._doubt(error)

    def _doubt(self, error: BaseException | None) -> None:
        """Connect anew: where one connection hangs, each of the others would too."""
        if not isinstance(error, TimeoutError | asyncio.CancelledError):
            return
        if self._lost or monotonic() >= self._ask_at:
            for connection, replace_at in list(self._replace_at.items()):
                if replace_at == inf:
                    self._replace_at[connection] = 0
