"""Keeps a connection that died in the pool from reaching a request."""

from time import monotonic
from typing import Any

from sqlalchemy import event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine

PING_AFTER_IDLE_SECONDS = 30
PING_TIMEOUT_SECONDS = 2


def replace_dead_connections(engine: AsyncEngine) -> None:
    """Do what pool_pre_ping does, without its round trips.

    asyncpg knows when the server has closed the socket. Only a connection that was idle
    for long is asked whether it still works: a firewall may have dropped it in silence.
    """

    @event.listens_for(engine.sync_engine, "checkin")
    def _(connection: Any, record: Any) -> None:
        record.info["idle_since"] = monotonic()

    @event.listens_for(engine.sync_engine, "checkout")
    def _(connection: Any, record: Any, proxy: Any) -> None:
        if connection.driver_connection.is_closed():
            raise DisconnectionError("The server closed the connection.")
        idle = monotonic() - record.info.get("idle_since", monotonic())
        if idle > PING_AFTER_IDLE_SECONDS:
            try:
                connection.run_async(_ping)
            except Exception as error:
                raise DisconnectionError("The connection no longer works.") from error


async def _ping(driver_connection: Any) -> None:
    await driver_connection.execute("SELECT 1", timeout=PING_TIMEOUT_SECONDS)
