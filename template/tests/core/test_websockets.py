"""How a WebSocket ends: for its client, and in the log."""

import logging
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, WebSocket
from starlette.types import Message

from app.core.application import set_up
from app.core.errors import NotFoundError

app = FastAPI()
rooms = APIRouter(prefix="/rooms")


@rooms.websocket("/{name}")
async def echo(socket: WebSocket, name: str) -> None:
    await socket.accept()
    while True:
        await socket.send_text(await socket.receive_text())


@app.websocket("/count")
async def count(socket: WebSocket) -> None:
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_json(1 / int(text))
    await socket.close(4000)


@app.websocket("/early")
async def fail_early(socket: WebSocket) -> None:
    raise ZeroDivisionError


@app.websocket("/missing")
async def refuse(socket: WebSocket) -> None:
    raise NotFoundError("There is no such room.")


@app.websocket("/closed")
async def fail_late(socket: WebSocket) -> None:
    await socket.accept()
    await socket.close()
    raise ZeroDivisionError


app.include_router(rooms, prefix="/v1")
set_up(app)


async def converse(path: str, *texts: str) -> list[Message]:
    """Send texts, leave, and return what the service sent."""
    received: list[Message] = [
        {"type": "websocket.connect"},
        *({"type": "websocket.receive", "text": text} for text in texts),
        {"type": "websocket.disconnect", "code": 1001},
    ]
    sent: list[Message] = []

    async def receive() -> Message:
        return received.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"x-request-id", b"abc")]
    scope: dict[str, Any] = {
        "type": "websocket",
        "path": path,
        "headers": headers,
        "query_string": b"",
    }
    await app(scope, receive, send)
    return sent


def access_line(caplog: pytest.LogCaptureFixture) -> tuple[Any, ...]:
    (line,) = (r for r in caplog.records if r.name == "app.access")
    fields = vars(line)
    return fields["route"], fields["status"], fields["code"]


@pytest.fixture(autouse=True)
def _log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


async def test_a_client_that_leaves_is_no_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sent = await converse("/v1/rooms/lamp", "hello")

    assert [message.get("text") for message in sent] == [None, "hello"]
    assert access_line(caplog) == ("/v1/rooms/{name}", 101, 1001)
    assert "unhandled error" not in caplog.messages


async def test_an_unhandled_error_closes_and_says_where_it_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sent = await converse("/count", "2", "0")

    reason = "The service failed. The error is logged under abc."
    assert sent[1]["text"] == "0.5"
    assert sent[2:] == [{"type": "websocket.close", "code": 1011, "reason": reason}]
    assert access_line(caplog) == ("/count", 101, 1011)
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(("path", "status"), [("/early", 500), ("/missing", 404)])
async def test_an_error_before_the_handshake_is_a_problem_document(
    caplog: pytest.LogCaptureFixture, path: str, status: int
) -> None:
    start, body = await converse(path)

    assert start["type"] == "websocket.http.response.start"
    assert start["status"] == status
    assert (b"content-type", b"application/problem+json") in start["headers"]
    assert b'"request_id": "abc"' in body["body"]
    assert access_line(caplog) == (path, status, None)


async def test_an_error_after_the_close_is_only_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sent = await converse("/closed")

    assert [message.get("code") for message in sent] == [None, 1000]
    assert access_line(caplog) == ("/closed", 101, 1000)
    assert "ZeroDivisionError" in caplog.text


async def test_a_path_that_no_web_socket_has_is_refused(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sent = await converse("/nowhere")

    assert [message["type"] for message in sent] == ["websocket.close"]
    assert access_line(caplog) == (None, 403, None)
