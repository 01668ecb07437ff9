"""Which files of a service run for a warm request; copied into its tests to run there."""

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import FrameType
from uuid import uuid4

import app
from httpx2 import AsyncClient, Response

HOME = Path(app.__file__).parent
# Called by other libraries, to write a line of the log or to check a type.
ON_BEHALF_OF_LIBRARIES = {"core/json_log.py", "core/json_types.py", "core/logging.py"}


async def files_that_run(request: Callable[[], Awaitable[Response]]) -> set[str]:
    """Return the files of the service that run for a request, after a first one."""
    files: set[str] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(HOME):
            files.add(str(path.relative_to(HOME)))

    assert (await request()).is_success
    before = sys.getprofile()
    sys.setprofile(note)
    try:
        assert (await request()).is_success
    finally:
        sys.setprofile(before)
    return files - ON_BEHALF_OF_LIBRARIES


async def test_a_request_runs_through_few_files(committing_client: AsyncClient) -> None:
    def create() -> Awaitable[Response]:
        return committing_client.post(
            "/items",
            json={"name": str(uuid4())},
            headers={"Idempotency-Key": str(uuid4())},
        )

    location = (await create()).headers["location"]

    reading = await files_that_run(lambda: committing_client.get(location))
    creating = await files_that_run(create)

    assert len(reading) <= 10, reading
    assert len(creating) <= 12, creating
    assert "items/routes.py" in reading & creating
