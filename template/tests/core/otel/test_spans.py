"""The spans of requests: their tree, and their content."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from typing import Annotated, Any

import pytest
from fastapi import Body, FastAPI, Header, Request, Response, WebSocket
from httpx2 import ASGITransport, AsyncClient
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from sqlalchemy import bindparam, literal, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.application import set_up
from app.core.config import settings
from app.core.database import ReaderDep, ReadSessionDep, SessionDep, options
from app.core.db.compiled_reads import CompiledRead
from app.core.db.engines import make_engine
from app.core.otel.logs import TraceIds
from app.core.otel.pools import measure_connecting
from app.core.otel.requests import trace_requests
from app.core.telemetry import continue_trace
from tests.conftest import client_of
from tests.core.otel.sent import Sent

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
SECRET = "s3cret"
Rows = list[dict[str, Any]]
PAIR = CompiledRead(
    select(literal(1).label("id")).where(literal(1) == bindparam("id")),
    dict[str, Any],
)

app = FastAPI(telemetry={"exclude": lambda scope: scope["path"] == "/excluded"})
victims: list[bool] = []


@app.post("/pairs")
async def create(session: SessionDep, other: Annotated[int, Body(embed=True)]) -> None:
    insert = text("INSERT INTO pair VALUES (1, :other)")
    await session.execute(insert, {"other": other})


@app.get("/pairs")
async def read(session: ReadSessionDep, name: str = "") -> None:
    select_none = text("SELECT id FROM pair WHERE :name = 'none'")
    await session.execute(select_none, {"name": name})


@app.get("/pairs/{id}")
async def read_compiled(reader: ReaderDep, id: int) -> Rows:
    return await reader.all(PAIR, id=id)


@app.put("/pairs")
async def conflict_once(session: SessionDep) -> None:
    if not victims:
        victims.append(True)
        body = "BEGIN RAISE EXCEPTION '' USING ERRCODE = '40P01'; END"
        await session.execute(text(f"DO $$ {body} $$"))
    await session.execute(text("SELECT 1"))


@app.get("/report")
async def report(response: Response) -> str:
    response.headers["ETag"] = '"1"'
    return "A long report."


@app.get("/broken")
async def broken(x_value: Annotated[str, Header()]) -> None:
    raise ValueError(x_value)


@app.websocket("/sockets/{value}")
async def break_socket(socket: WebSocket, value: str) -> None:
    await socket.accept()
    await socket.receive_text()
    raise ValueError(value)


@app.get("/calls")
async def call(request: Request) -> dict[str, str]:
    hooks: dict[str, list[Any]] = {"request": [continue_trace]}
    transport = ASGITransport(echo)
    async with AsyncClient(transport=transport, event_hooks=hooks) as client:
        response = await client.get("http://bank/")
    return response.json()


echo = FastAPI()


@echo.get("/")
async def headers(request: Request) -> dict[str, str]:
    return {"traceparent": request.headers["traceparent"]}


trace_requests(app, exclude={"/livez"})
set_up(app)


@pytest.fixture
async def client(measured: AsyncEngine, sent: Sent) -> AsyncGenerator[AsyncClient]:
    """A client of this module's routes, whose table refuses some rows at COMMIT."""
    create = "CREATE TABLE pair (id int PRIMARY KEY, other int REFERENCES pair"
    async with measured.begin() as connection:
        await connection.execute(text(f"{create} DEFERRABLE INITIALLY DEFERRED)"))
    sent.clear()
    async with client_of(app) as client:
        yield client
    async with measured.begin() as connection:
        await connection.execute(text("DROP TABLE pair"))


async def test_a_write_is_begin_insert_and_commit_below_the_request(
    client: AsyncClient, sent: Sent
) -> None:
    response = await client.post("/pairs", json={"other": 1})

    assert response.status_code == 200
    assert sent.tree() == {"POST /pairs": ["BEGIN", "INSERT pair", "COMMIT"]}
    request, _, insert, _ = sent.spans()
    assert request.kind is SpanKind.SERVER
    assert dict(insert.attributes or {}) == {
        "db.system.name": "postgresql",
        "db.operation.name": "INSERT",
        "db.collection.name": "pair",
        "db.query.text": "INSERT INTO pair VALUES (1, $1)",
    }


@pytest.mark.parametrize(
    ("path", "statement"), [("/pairs", "SELECT pair"), ("/pairs/1", "SELECT")]
)
async def test_a_read_is_one_statement_below_the_request(
    client: AsyncClient, sent: Sent, path: str, statement: str
) -> None:
    response = await client.get(path)

    assert response.status_code == 200
    template = path.replace("1", "{id}")
    assert sent.tree() == {f"GET {template}": [statement]}


async def test_a_version_that_the_client_has_is_a_304_in_its_span(sent: Sent) -> None:
    async with client_of(app) as client:
        await client.get("/report", headers={"If-None-Match": '"1"'})

    (span,) = sent.spans()
    status = (span.attributes or {})["http.response.status_code"]
    assert (type(status), status) == (int, 304)


async def test_a_commit_that_fails_is_an_error_but_its_request_is_not(
    client: AsyncClient, sent: Sent
) -> None:
    response = await client.post("/pairs", json={"other": 2})

    assert response.status_code == 409
    commit = next(span for span in sent.spans() if span.name == "COMMIT")
    assert commit.status.status_code is StatusCode.ERROR
    assert (commit.attributes or {})["db.response.status_code"] == "23503"
    assert sent.spans()[0].status.status_code is StatusCode.UNSET


async def test_a_retry_is_an_event_between_the_statements_of_both_runs(
    client: AsyncClient, sent: Sent
) -> None:
    victims.clear()

    response = await client.put("/pairs")

    assert response.status_code == 200
    first, second = ["BEGIN", "DO", "ROLLBACK"], ["BEGIN", "SELECT", "COMMIT"]
    assert sent.tree() == {"PUT /pairs": [*first, *second]}
    (event,) = sent.spans()[0].events
    assert event.name == "retry"
    assert sent.count("app.request.retries", error_type="40P01") == 1


async def test_a_failure_of_the_service_is_an_error_without_its_text(
    client: AsyncClient, sent: Sent
) -> None:
    response = await client.get("/broken", headers={"x-value": SECRET})

    assert response.status_code == 500
    (span,) = sent.spans()
    assert span.status.status_code is StatusCode.ERROR
    assert (span.attributes or {})["error.type"] == "ValueError"
    assert span.events == ()
    assert SECRET not in sent.text()


@pytest.mark.parametrize(
    ("message", "failure"),
    [
        ({"type": "websocket.receive", "text": "go"}, "ValueError"),
        ({"type": "websocket.disconnect", "code": 1006}, None),
    ],
    ids=["fails", "leaves"],
)
async def test_a_websocket_that_fails_is_an_error_but_a_client_that_leaves_is_not(
    sent: Sent, message: dict[str, Any], failure: str | None
) -> None:
    messages = iter([{"type": "websocket.connect"}, message])
    scope = {
        "type": "websocket",
        "path": f"/sockets/{SECRET}",
        "query_string": SECRET.encode(),
        "headers": [],
        "subprotocols": [],
    }

    async def receive() -> dict[str, Any]:
        return next(messages)

    async def send(message: object) -> None:
        pass

    await app(scope, receive, send)

    (span,) = sent.spans()
    assert span.name == "WS /sockets/{value}"
    assert (span.attributes or {}).get("error.type") == failure
    assert span.status.is_ok is (failure is None)
    assert SECRET not in sent.text()


async def test_a_wait_for_a_connection_is_a_span_and_too_long_a_wait_an_error(
    client: AsyncClient, measured: AsyncEngine, sent: Sent
) -> None:
    async with measured.connect():
        refused = await client.get("/pairs")
        waiting = asyncio.create_task(client.get("/pairs/1"))
        while not sent.count("db.client.connection.pending_requests"):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    served = await waiting

    assert (refused.status_code, served.status_code) == (503, 200)
    assert sent.tree() == {
        "GET /pairs": ["wait"],
        "GET /pairs/{id}": ["wait", "SELECT"],
    }
    failed, done = (span for span in sent.spans() if span.name == "wait")
    assert failed.status.status_code is StatusCode.ERROR
    assert done.status.status_code is StatusCode.UNSET
    assert sent.count("db.client.connection.timeouts") == 1
    assert sent.count("db.client.connection.wait_time") == 2
    assert sent.count("db.client.connection.pending_requests") == 0


async def test_a_new_connection_is_a_span(
    client: AsyncClient, measured: AsyncEngine, sent: Sent
) -> None:
    await measured.dispose()

    await client.get("/pairs/1")

    assert sent.tree() == {"GET /pairs/{id}": ["connect", "SELECT"]}
    assert sent.count("db.client.connection.create_time") == 1


async def test_a_connection_that_fails_is_an_error(sent: Sent) -> None:
    nobody = settings.DATABASE_URL.set(database="no_such_database")
    engine = make_engine(nobody, options)
    measure_connecting(engine)

    request = trace.get_tracer("test").start_as_current_span("request")
    with request, pytest.raises(DBAPIError):
        await engine.connect()

    assert sent.tree() == {"request": ["connect"]}
    (_, span) = sent.spans()
    assert span.status.status_code is StatusCode.ERROR
    assert (span.attributes or {})["db.response.status_code"] == "3D000"
    assert sent.count("db.client.connection.create_time") == 0
    await engine.dispose()


async def test_a_trace_comes_from_the_caller_and_goes_to_the_services_that_are_called(
    client: AsyncClient, sent: Sent
) -> None:
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}

    response = await client.get("/calls", headers=headers)

    span = next(span for span in sent.spans() if span.name == "GET /calls")
    assert f"{span.context.trace_id:032x}" == TRACE
    assert span.parent
    assert f"{span.parent.span_id:016x}" == PARENT
    own = f"{span.context.span_id:016x}"
    assert response.json() == {"traceparent": f"00-{TRACE}-{own}-01"}


async def test_the_request_id_of_a_problem_finds_its_trace_and_the_trace_its_lines(
    client: AsyncClient, sent: Sent, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.handler.addFilter(TraceIds())

    with caplog.at_level(logging.INFO):
        problem = (await client.post("/pairs", json={})).json()

    (span,) = sent.spans()
    assert (span.attributes or {})["app.request_id"] == problem["request_id"]
    (line,) = (vars(each) for each in caplog.records if each.name == "app.access")
    assert line["trace_id"] == f"{span.context.trace_id:032x}"
    assert line["span_id"] == f"{span.context.span_id:016x}"


async def test_a_request_that_is_refused_before_any_route_has_its_id(
    client: AsyncClient, sent: Sent
) -> None:
    response = await client.post("/pairs", content=b"x" * 2_000_000)

    assert response.status_code == 413
    (span,) = sent.spans()
    request_id = response.json()["request_id"]
    assert (span.attributes or {})["app.request_id"] == request_id


async def test_probes_and_what_the_application_excludes_have_no_spans(
    client: AsyncClient, sent: Sent
) -> None:
    await client.get("/livez")
    await client.get("/excluded")

    assert sent.spans() == []


@pytest.mark.parametrize("path", ["/shop/livez", "/livez"])
async def test_probes_below_a_root_path_have_no_spans(sent: Sent, path: str) -> None:
    """A proxy may remove the root path, or leave it."""
    transport = ASGITransport(app, root_path="/shop")
    async with AsyncClient(transport=transport, base_url="http://test") as client:
        response = await client.get(path)

    assert response.status_code == 200
    assert sent.spans() == []


async def test_no_value_that_a_client_sends_is_in_a_span_or_a_metric(
    client: AsyncClient, sent: Sent
) -> None:
    headers = {
        "host": f"{SECRET}.example",
        "x-value": SECRET,
        "user-agent": SECRET,
        "cookie": SECRET,
        "authorization": f"Bearer {SECRET}",
        "traceparent": f"00-{TRACE}-{PARENT}-01",
        "tracestate": f"key={SECRET}",
        "baggage": f"key={SECRET}",
        "forwarded": f"for={SECRET}",
    }
    requests: list[tuple[str, str, dict[str, Any]]] = [
        ("GET", f"/pairs?name={SECRET}&{SECRET}=1", {}),
        ("GET", f"/pairs/{SECRET}", {}),
        ("GET", f"/{SECRET}?sig={SECRET}", {}),
        (SECRET.upper(), "/pairs", {}),
        ("POST", "/pairs", {"json": {"other": SECRET, SECRET: 1}}),
        ("GET", "/broken", {}),
    ]

    for method, path, body in requests:
        await client.request(method, path, headers=headers, **body)

    assert len(sent.spans()) > len(requests)
    assert SECRET not in sent.text().lower()
    assert {len(span.context.trace_state) for span in sent.spans()} == {0}


async def test_any_number_of_unknown_paths_and_methods_is_one_series_each(
    client: AsyncClient, sent: Sent
) -> None:
    before = sent.series("http.server.request.duration")

    for number in range(1000):
        await client.get(f"/unknown-{number}")
    for number in range(10):
        await client.request(f"BREW{number}", "/unknown")

    after = sent.series("http.server.request.duration")
    assert sent.count("http.server.request.duration") == 1010
    assert len(after - before) <= 2
