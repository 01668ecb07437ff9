"""Jobs as a request enqueues them, and as a run of them sees them."""

import io
import logging
import subprocess
import sys
import uuid
from collections.abc import Awaitable, Callable, Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from asgi_correlation_id import correlation_id
from pydantic import (
    BaseModel,
    ConfigDict,
    SecretStr,
    ValidationError,
    computed_field,
)
from pydantic.alias_generators import to_camel
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from structlog.stdlib import ProcessorFormatter

from app.core.database import async_session_factory, engine, read_session_factory
from app.core.jobs import Call, Run, declared, enqueue, job

ROOT = Path(__file__).parents[2]
LOADED = "import sys, app.main; print(*sys.modules)"
COUNT = text("SELECT count(*) FROM procrastinate_jobs")

logger = logging.getLogger(__name__)
runs: list[tuple[Run, uuid.UUID, str]] = []


class Lamp(BaseModel):
    """As clients see it."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid")

    lamp_name: str

    @computed_field
    @property
    def label(self) -> str:
        return self.lamp_name.upper()


@job(name="test.greet", attempts=2)
async def greet(run: Run, person: uuid.UUID, words: str = "Hello") -> None:
    runs.append((run, person, words))
    logger.info("greeting")
    if words == "fail":
        raise ValueError("no greeting")
    if words == "again":
        await enqueue(run.session, greet.call(person))


# Not among those that the worker's tests run.
del declared[greet.name]
ANN = uuid.UUID("01900000-0000-7000-8000-000000000000")


@pytest.fixture(autouse=True)
def greeting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(declared, greet.name, greet)
    runs.clear()


@pytest.fixture
def log() -> Generator[io.StringIO]:
    """Collect the lines that the service logs."""
    root, stream = logging.getLogger(), io.StringIO()
    (formatter,) = (
        handler.formatter
        for handler in root.handlers
        if isinstance(handler.formatter, ProcessorFormatter)
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    root.addHandler(handler)
    yield stream
    root.removeHandler(handler)


async def stored_jobs() -> int:
    async with engine.connect() as connection:
        return await connection.scalar(COUNT) or 0


@pytest.mark.parametrize("first", [True, False], ids=["first", "second"])
async def test_a_rollback_leaves_no_job(first: bool) -> None:
    before = await stored_jobs()

    async with async_session_factory() as session:
        if not first:
            await session.execute(text("SELECT 1"))
        stored = await enqueue(session, greet.call(ANN))
        await session.rollback()

    assert stored is not None
    assert await stored_jobs() == before


async def test_a_commit_stores_the_job_and_its_arguments(
    session: AsyncSession, enqueued: Callable[[], Awaitable[list[Call]]]
) -> None:
    await enqueue(session, greet.call(ANN, words="Hi"))
    await session.commit()

    assert await enqueued() == [greet.call(person=ANN, words="Hi")]


async def test_a_session_that_only_reads_stores_no_job() -> None:
    async with read_session_factory() as session:
        with pytest.raises(TypeError, match="ReadSessionDep cannot write"):
            await enqueue(session, greet.call(ANN))


async def test_an_argument_may_be_a_model_of_the_interface(
    session: AsyncSession, run_jobs: Callable[[], Awaitable[int]]
) -> None:
    lamp = Lamp.model_validate({"lampName": "Desk lamp"})
    got: list[tuple[int, Lamp]] = []

    @job(name="test.light")
    async def light(_: Run, self: int, lamp: Lamp) -> None:
        got.append((self, lamp))

    try:
        await enqueue(session, light.call(self=1, lamp=lamp))
        await run_jobs()
    finally:
        del declared["test.light"]

    assert got == [(1, lamp)]


async def test_an_argument_that_would_change_when_it_is_stored_is_refused(
    session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    @job(name="test.hide")
    async def hide(_: Run, secret: SecretStr) -> None: ...

    monkeypatch.delitem(declared, "test.hide")

    with pytest.raises(ValueError, match=r"test\.hide would change when it is stored"):
        await enqueue(session, hide.call(SecretStr("s3cret")))


def test_an_argument_that_cannot_be_stored_is_refused_where_the_job_is_declared() -> (
    None
):
    async def without_annotation(_: Run, what) -> None: ...  # noqa: ANN001

    async def with_underscore(_: Run, _what: str) -> None: ...

    async def with_any(_: Run, *what: str) -> None: ...

    async def with_name_of_pydantic(_: Run, model_config: str) -> None: ...

    async def with_position_only(_: Run, what: str, /) -> None: ...

    functions: list[Any] = [
        without_annotation,
        with_underscore,
        with_any,
        with_name_of_pydantic,
        with_position_only,
    ]
    for function in functions:
        with pytest.raises(TypeError, match=r"of the job test\.x cannot be stored"):
            job(name="test.x")(function)
    assert "test.x" not in declared


async def test_enqueueing_is_one_statement(session: AsyncSession) -> None:
    await session.execute(text("SELECT 1"))
    statements: list[str] = []

    def note(*arguments: object) -> None:
        statements.append(str(arguments[2]))

    event.listen(engine.sync_engine, "before_cursor_execute", note)
    try:
        await enqueue(session, greet.call(ANN))
    finally:
        event.remove(engine.sync_engine, "before_cursor_execute", note)

    assert len(statements) == 1


async def test_a_run_gets_typed_arguments(
    session: AsyncSession, run_jobs: Callable[[], Awaitable[int]]
) -> None:
    await enqueue(session, greet.call(ANN))

    assert await run_jobs() == 1

    ((run, person, words),) = runs
    assert (person, words, run.attempt) == (ANN, "Hello", 1)


async def test_jobs_that_a_job_enqueues_run_too(
    session: AsyncSession,
    run_jobs: Callable[[], Awaitable[int]],
    enqueued: Callable[[], Awaitable[list[Call]]],
) -> None:
    await enqueue(session, greet.call(ANN, "again"))

    assert await run_jobs() == 2
    assert [words for _, _, words in runs] == ["again", "Hello"]
    assert await enqueued() == []


async def test_a_job_that_raises_fails_the_test_that_runs_it(
    session: AsyncSession, run_jobs: Callable[[], Awaitable[int]]
) -> None:
    await enqueue(session, greet.call(ANN, "fail"))

    with pytest.raises(ValueError, match="no greeting"):
        await run_jobs()


async def test_a_job_does_not_run_before_it_is_due(
    session: AsyncSession,
    run_jobs: Callable[[], Awaitable[int]],
    enqueued: Callable[[], Awaitable[list[Call]]],
) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    await enqueue(session, greet.call(ANN), schedule_at=tomorrow)

    assert await run_jobs() == 0
    assert await enqueued() == [greet.call(ANN)]


async def test_a_queueing_lock_allows_one_waiting_job(
    session: AsyncSession, connection: AsyncConnection
) -> None:
    first = await enqueue(session, greet.call(ANN), queueing_lock="ann")
    second = await enqueue(session, greet.call(ANN), queueing_lock="ann")
    await connection.execute(text("UPDATE procrastinate_jobs SET status = 'doing'"))
    third = await enqueue(session, greet.call(ANN), queueing_lock="ann")

    assert first is not None
    assert second is None
    assert third is not None


async def test_the_key_of_a_job_is_the_same_in_each_run_and_its_own() -> None:
    stored = {"person": str(ANN)}

    for id, attempt in ((1, 1), (1, 2), (2, 1)):
        await greet.run(id, attempt, stored)
    await greet.run(1, 1, {**stored, "_key": str(ANN)})

    first, again, other, stored_key = (run.key for run, _, _ in runs)
    assert first == again != other
    assert stored_key == ANN


async def test_arguments_of_other_releases_are_ignored_or_have_defaults() -> None:
    await greet.run(1, 1, {"person": str(ANN), "added_later": 1})

    assert [(person, words) for _, person, words in runs] == [(ANN, "Hello")]
    with pytest.raises(ValidationError, match="person"):
        await greet.run(1, 1, {"words": "Hi"})
    with pytest.raises(ValidationError, match="person"):
        greet.call("nobody")  # ty: ignore[invalid-argument-type]


async def test_log_lines_of_a_job_name_it_and_the_request_that_enqueued_it(
    session: AsyncSession, run_jobs: Callable[[], Awaitable[int]], log: io.StringIO
) -> None:
    token = correlation_id.set("r42")
    id = await enqueue(session, greet.call(ANN))
    correlation_id.reset(token)

    await run_jobs()
    logger.info("afterwards")

    greeting, done, afterwards = log.getvalue().splitlines()
    for line in (greeting, done):
        for field in ("job=test.greet", f"job_id={id}", "attempt=1", "request_id=r42"):
            assert field in line
    assert "job done" in done
    assert "job_id" not in afterwards
    assert "r42" not in afterwards


async def test_the_log_says_whether_a_job_that_failed_was_given_up(
    log: io.StringIO,
) -> None:
    for attempt in (1, 2):
        with pytest.raises(ValueError, match="no greeting"):
            await greet.run(1, attempt, {"person": str(ANN), "words": "fail"})

    lines = [line for line in log.getvalue().splitlines() if "app.core.jobs]" in line]
    assert ["warning" in lines[0], "job failed" in lines[0]] == [True, True]
    assert ["error" in lines[1], "job given up" in lines[1]] == [True, True]


async def test_the_log_names_an_argument_that_is_wrong_but_not_its_value(
    log: io.StringIO,
) -> None:
    with pytest.raises(ValidationError):
        await greet.run(1, 1, {"person": "s3cret"})

    assert "person: Input should be a valid UUID" in log.getvalue()
    assert "s3cret" not in log.getvalue()


def test_a_job_that_could_not_run_is_refused_where_it_is_declared() -> None:
    async def a_name_that_no_channel_of_postgresql_could_hold(run: Run) -> None: ...

    def not_async(run: Run) -> None: ...

    async def with_named_run(*, run: Run) -> None: ...

    async def without_run() -> None: ...

    with pytest.raises(ValueError, match="above 40 bytes"):
        job()(a_name_that_no_channel_of_postgresql_could_hold)
    with pytest.raises(ValueError, match=r"two jobs with the name test\.greet"):
        job(name=greet.name)(a_name_that_no_channel_of_postgresql_could_hold)
    with pytest.raises(TypeError, match="not an async function"):
        job(name="test.sync")(not_async)  # ty: ignore[invalid-argument-type]
    functions: list[Any] = [without_run, with_named_run]
    for function in functions:
        with pytest.raises(TypeError, match=r"first parameter of the job test\.run"):
            job(name="test.run")(function)


def test_a_schedule_that_could_not_be_kept_is_refused_where_it_is_declared() -> None:
    async def report(run: Run) -> None: ...

    async def resize(run: Run, size: int) -> None: ...

    with pytest.raises(ValueError, match="'daily' of test.report is not a cron"):
        job(name="test.report", every="daily")(report)
    with pytest.raises(ValueError, match="matches any time"):
        job(name="test.report", every="0 3 30 2 *")(report)
    with pytest.raises(ValueError, match="of test.report has seconds"):
        job(name="test.report", every="0 5 3 * * *")(report)
    with pytest.raises(TypeError, match="size"):
        job(name="test.resize", every="0 3 * * *")(resize)
    assert not {"test.report", "test.resize"} & {*declared}


async def test_a_time_without_a_time_zone_is_refused(session: AsyncSession) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        await enqueue(
            session,
            greet.call(ANN),
            schedule_at=datetime.now(),  # noqa: DTZ005
        )


def test_the_service_itself_loads_neither_the_library_nor_its_driver() -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", LOADED],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()

    assert {"psycopg", "psycopg_pool", "procrastinate"} & set(loaded) == set()
