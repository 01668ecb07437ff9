"""The telemetry of a worker about its jobs."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from asgi_correlation_id import correlation_id
from opentelemetry.trace import StatusCode
from sqlalchemy import event, text

from app.core.database import async_session_factory, engine
from app.core.db.failures import DatabaseUnavailableError
from app.core.jobs import Run, declared, enqueue, job
from app.core.otel import jobs
from app.core.otel.spans import tracer
from app.core.queue.work import work
from tests.core.otel.sent import Sent

FAIL, NOTE = "test.fail", "test.note"
TABLES = "procrastinate_jobs, procrastinate_events, procrastinate_periodic_defers"


@pytest.fixture(autouse=True)
async def two_jobs(monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[None]:
    monkeypatch.setattr(jobs, "is_wanted", lambda: True)
    monkeypatch.setattr(jobs, "INTERVAL_SECONDS", 0.05)
    for name in [*declared]:
        monkeypatch.delitem(declared, name)

    @job(name=NOTE)
    async def note(_: Run, what: str) -> None: ...

    @job(name=FAIL, attempts=1)
    async def fail(_: Run, what: str) -> None:
        raise ValueError(what)

    yield
    for name in (NOTE, FAIL):
        declared.pop(name)
    async with engine.begin() as connection:
        await connection.execute(text(f"TRUNCATE {TABLES}"))


@asynccontextmanager
async def working() -> AsyncGenerator[None]:
    stopping = asyncio.Event()
    worker = asyncio.create_task(work(stopping, grace=5))
    yield
    stopping.set()
    await worker


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not happened():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_a_job_has_a_span_that_is_linked_to_its_request_and_shows_no_value(
    sent: Sent,
) -> None:
    correlation_id.set("r1")
    with tracer.start_as_current_span("request") as request:
        async with async_session_factory.begin() as session:
            for name in (NOTE, FAIL):
                await enqueue(session, declared[name].call("s3cret"))

    async with working(), jobs.watching_jobs(engine, declared):
        await until(lambda: sent.value("app.job.failed", app_job_name=FAIL) == 1)
        await until(lambda: sent.count("app.job.duration", app_job_name=NOTE) == 1)

    spans = {span.name: span for span in sent.spans()}
    for name, status in {NOTE: StatusCode.UNSET, FAIL: StatusCode.ERROR}.items():
        (link,) = spans[name].links
        assert link.context.trace_id == request.get_span_context().trace_id
        assert spans[name].parent is None
        assert spans[name].status.status_code is status
        assert (spans[name].attributes or {})["app.request_id"] == "r1"
    assert sent.count("app.job.duration", error_type="ValueError") == 1
    assert "s3cret" not in sent.text()


async def test_the_jobs_that_are_due_are_counted_until_they_are_done(
    sent: Sent,
) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    async with async_session_factory.begin() as session:
        await enqueue(session, declared[NOTE].call("now"))
        await enqueue(session, declared[NOTE].call("later"), schedule_at=tomorrow)
        await session.execute(
            text("UPDATE procrastinate_events SET at = at - interval '1 minute'")
        )
    numbers = ("app.job.due", "app.job.oldest_due")

    async with jobs.watching_jobs(engine, declared):
        await until(lambda: sent.value("app.job.due") == 1)
        assert 60 <= sent.value("app.job.oldest_due") < 90
        async with working():
            await until(lambda: [sent.value(each) for each in numbers] == [0, 0])


async def test_jobs_are_counted_again_when_the_database_is_back(sent: Sent) -> None:
    refused: list[bool] = []

    def refuse_once(*_: object) -> None:
        if not refused:
            refused.append(True)
            raise DatabaseUnavailableError("ConnectionRefusedError")

    await engine.dispose()
    event.listen(engine.sync_engine, "do_connect", refuse_once, insert=True)
    try:
        async with jobs.watching_jobs(engine, declared):
            await until(lambda: bool(refused))
            async with async_session_factory.begin() as session:
                await enqueue(session, declared[NOTE].call("now"))
            await until(lambda: sent.value("app.job.due") == 1)
    finally:
        event.remove(engine.sync_engine, "do_connect", refuse_once)
