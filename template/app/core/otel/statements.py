"""Spans and durations of statements, measured at the driver."""

import re
from collections.abc import Iterable
from functools import lru_cache
from time import perf_counter
from types import TracebackType
from typing import Any

import asyncpg
from opentelemetry import metrics

from app.core.otel.spans import BOUNDARIES, Attributes, failure, record_span

WORDS = re.compile(
    r"""\s*(?P<operation>\w+)
    (?:(?:(?<=UPDATE)|.*?\b(?:(?<!DISTINCT\s)FROM|INTO|UPDATE))\s+(?P<table>[\w."]*\w"?))?""",
    re.DOTALL | re.IGNORECASE | re.VERBOSE,
)
# FROM is a word of some functions too, such as extract().
ARGUMENTS = re.compile(r"(?<=\w)\([^()]*\)")

duration = metrics.get_meter("app").create_histogram(
    "db.client.operation.duration",
    unit="s",
    description="Duration of database client operations.",
    explicit_bucket_boundaries_advisory=BOUNDARIES,
)


class Statement:
    """Measures one statement, from now on."""

    __slots__ = ("_started", "sql")

    def __init__(self, sql: str) -> None:
        self.sql = sql
        self._started = perf_counter()

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        _: type[BaseException] | None,
        error: BaseException | None,
        __: TracebackType | None,
    ) -> None:
        self.end(error)

    def end(self, error: BaseException | None = None) -> None:
        """Record the duration of the statement, and its failure."""
        seconds = perf_counter() - self._started
        name, on_metric, on_span = summary(self.sql)
        if error is not None:
            on_metric = on_metric | failure(error)
            on_span = on_span | failure(error)
        duration.record(seconds, on_metric)
        record_span(name, seconds, on_span, error=error)


@lru_cache(maxsize=1000)
def summary(sql: str) -> tuple[str, Attributes, Attributes]:
    """Return the name of a statement, and its attributes in a metric and in a span."""
    found = WORDS.match(_without_arguments(sql))
    operation = found["operation"].upper() if found else "SQL"
    table = (found["table"] or "").replace('"', "") if found else ""
    on_metric: Attributes = {
        "db.system.name": "postgresql",
        "db.operation.name": operation,
    }
    if table:
        on_metric["db.collection.name"] = table
    # The text has no values: they are parameters.
    on_span = {**on_metric, "db.query.text": sql}
    return f"{operation} {table}".strip(), on_metric, on_span


def _without_arguments(sql: str) -> str:
    """Return the SQL without the arguments of its functions, those of the innermost first."""
    while (shorter := ARGUMENTS.sub("", sql)) != sql:
        sql = shorter
    return sql


class MeasuredConnection(asyncpg.Connection):
    """A connection that measures each of its statements, BEGIN and COMMIT too."""

    __slots__ = ()

    async def execute(self, query: str, *args: Any, **options: Any) -> str:
        with Statement(query):
            return await super().execute(query, *args, **options)

    async def executemany(
        self, command: str, args: Iterable[Any], **options: Any
    ) -> None:
        with Statement(command):
            await super().executemany(command, args, **options)

    async def fetch(self, query: str, *args: Any, **options: Any) -> list[Any]:
        with Statement(query):
            return await super().fetch(query, *args, **options)

    async def prepare(self, query: str, **options: Any) -> Any:
        statement = Statement(query)
        try:
            prepared = await super().prepare(query, **options)
        except BaseException as error:
            statement.end(error)
            raise
        return MeasuredStatement(prepared, statement)


class MeasuredStatement:
    """A prepared statement, whose first run is measured from its preparation on."""

    def __init__(self, prepared: Any, first_run: Statement) -> None:
        self._prepared, self._sql = prepared, first_run.sql
        self._first_run: Statement | None = first_run

    def __getattr__(self, name: str) -> Any:
        return getattr(self._prepared, name)

    async def fetch(self, *args: Any, **options: Any) -> list[Any]:
        run, self._first_run = self._first_run or Statement(self._sql), None
        with run:
            return await self._prepared.fetch(*args, **options)

    def cursor(self, *args: Any, **options: Any) -> Any:
        """Return a cursor; it is not measured: its rows arrive as they are read."""
        self._first_run = None
        return self._prepared.cursor(*args, **options)
