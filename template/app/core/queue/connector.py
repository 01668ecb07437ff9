"""How a worker reaches the queue: with psycopg, on connections of its own."""

from collections.abc import Callable
from typing import Any

from procrastinate import PsycopgConnector, exceptions
from psycopg.errors import RaiseException
from sqlalchemy import URL

from app.core.config import settings
from app.core.database import engine

# Those of the pool; one more listens for new jobs.
CONNECTIONS = 2
# The options of a URL that libpq has under other names. It has no `servicefile`.
NAMES = {"database": "dbname", "ssl": "sslmode"}
UNKNOWN = {"prepared_statement_cache_size", "servicefile"}


class Connector(PsycopgConnector):
    """Reports a statement that failed, such as one to store how a job ended.

    That job would count as running for as long as this worker lives.
    """

    def __init__(self, on_failure: Callable[[], None]) -> None:
        super().__init__(
            kwargs=connection_parameters(settings.DATABASE_URL),
            min_size=1,
            max_size=CONNECTIONS,
            timeout=settings.DB_CONNECT_TIMEOUT + settings.DB_POOL_TIMEOUT,
        )
        self._on_failure = on_failure

    async def execute_query_async(self, query: Any, **arguments: Any) -> None:
        try:
            await super().execute_query_async(query, **arguments)
        except exceptions.ConnectorException as error:
            # The library's functions raise if somebody else has ended the job.
            if not isinstance(error.__cause__, RaiseException):
                self._on_failure()
            raise


def connection_parameters(url: URL) -> dict[str, Any]:
    """Return what psycopg connects with, to the same database and with the same limits."""
    _, target = engine.dialect.create_connect_args(url)
    parameters = {
        NAMES.get(name, name): ",".join(map(str, value))
        if isinstance(value, list)
        else value
        for name, value in target.items()
        if name not in UNKNOWN
    }
    if parameters.pop("direct_tls", None):
        parameters["sslnegotiation"] = "direct"
    parameters["connect_timeout"] = max(2, round(settings.DB_CONNECT_TIMEOUT))
    if settings.DB_PGBOUNCER:
        return {**parameters, "prepare_threshold": None}
    milliseconds = int(settings.DB_STATEMENT_TIMEOUT * 1000)
    return {
        **parameters,
        "application_name": f"{settings.APP_TITLE} worker",
        "options": f"-c statement_timeout={milliseconds}",
    }
