"""Routes that would use a session after it has ended, or never end it."""

from collections.abc import AsyncGenerator, Generator
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, WebSocket
from fastapi.sse import EventSourceResponse
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import StreamingResponse

from app.core.application import set_up
from app.core.database import ReadSessionDep, SessionDep, async_session_factory
from app.core.http.route_checks import check_routes
from app.main import app as service
from tests.conftest import client_of


class Repository:
    def __init__(self, session: SessionDep) -> None:
        self.session = session


class UserFinder:
    async def __call__(self, session: ReadSessionDep) -> int:
        return await session.scalar(text("SELECT 7"))


def pass_on(session: SessionDep) -> AsyncSession:
    return session


async def find_user(session: SessionDep) -> int:
    return await session.scalar(text("SELECT 7"))


RepositoryDep = Annotated[Repository, Depends()]
PassedOnDep = Annotated[AsyncSession, Depends(pass_on)]
UserDep = Annotated[int, Depends(find_user)]
FoundUserDep = Annotated[int, Depends(UserFinder())]


async def with_session(session: SessionDep) -> AsyncGenerator[int]:
    yield 1


async def with_read_session(session: ReadSessionDep) -> AsyncGenerator[int]:
    yield 1


async def with_repository(repository: RepositoryDep) -> AsyncGenerator[int]:
    yield 1


async def with_passed_on(session: PassedOnDep) -> AsyncGenerator[int]:
    yield 1


def in_thread(session: SessionDep) -> Generator[int]:
    yield 1


@pytest.mark.parametrize("kind", [None, EventSourceResponse, StreamingResponse])
@pytest.mark.parametrize(
    "route",
    [with_session, with_read_session, with_repository, with_passed_on, in_thread],
)
def test_a_route_that_yields_is_refused_a_session(route: Any, kind: Any) -> None:
    router = APIRouter()
    router.get("/numbers", **({"response_class": kind} if kind else {}))(route)
    app = FastAPI()
    app.include_router(router, prefix="/v1")

    with pytest.raises(RuntimeError, match=r"The route /v1/numbers yields.*Open one"):
        set_up(app)


async def socket_with_session(socket: WebSocket, session: SessionDep) -> None: ...


async def socket_with_user(socket: WebSocket, user: UserDep) -> None: ...


@pytest.mark.parametrize("route", [socket_with_session, socket_with_user])
def test_a_web_socket_is_refused_a_session(route: Any) -> None:
    app = FastAPI()
    app.websocket("/chat")(route)

    with pytest.raises(RuntimeError, match=r"The WebSocket /chat.*for each message"):
        set_up(app)


async def test_a_route_that_is_added_later_stops_the_service_from_starting() -> None:
    app = FastAPI()
    set_up(app)
    app.get("/numbers")(with_session)

    with pytest.raises(RuntimeError, match="The route /numbers yields"):
        async with app.router.lifespan_context(app):
            pass


def test_no_route_of_the_service_is_refused() -> None:
    check_routes(service)


async def test_a_route_that_yields_may_ask_the_database_who_its_user_is() -> None:
    app = FastAPI()

    @app.get("/numbers")
    async def _(user: UserDep, same: FoundUserDep) -> AsyncGenerator[int]:
        yield user
        yield same
        async with async_session_factory() as session:
            yield await session.scalar(text("SELECT 8"))

    set_up(app)
    async with client_of(app) as client:
        responses = [await client.get("/numbers") for _ in range(3)]

    assert [response.text for response in responses] == ["7\n7\n8\n"] * 3
