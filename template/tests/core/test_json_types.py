"""What a schema accepts is what PostgreSQL stores, and what a client reads again."""

import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from pydantic import BaseModel, ConfigDict
from sqlalchemy import Date, DateTime, Float, Interval, Numeric, Time, select, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from app.core.application import set_up
from app.core.database import ReaderDep, ReadSessionDep, SessionDep, engine
from app.core.db.compiled_reads import CompiledRead
from app.core.json_types import (
    Day,
    Duration,
    Number,
    PlainDecimal,
    TimeOfDay,
    Timestamp,
)
from tests.conftest import client_with_tables


class Base(DeclarativeBase):
    """Apart from the service's own tables."""


class Reading(Base):
    __tablename__ = "test_reading"

    id: Mapped[int] = mapped_column(primary_key=True)
    measured_at: Mapped[Any] = mapped_column(DateTime(timezone=True))
    measured_on: Mapped[Any] = mapped_column(Date)
    celsius: Mapped[Any] = mapped_column(Float)
    lasted: Mapped[Any] = mapped_column(Interval)
    due_at: Mapped[Any] = mapped_column(Time)
    share: Mapped[Any] = mapped_column(Numeric)


class ReadingSchema(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    measured_at: Timestamp
    measured_on: Day
    celsius: Number
    lasted: Duration
    due_at: TimeOfDay
    share: PlainDecimal


ALL = CompiledRead(select(Reading), ReadingSchema)
app = FastAPI()


@app.post("/", response_model=ReadingSchema)
async def create(session: SessionDep, new: ReadingSchema) -> Reading:
    reading = Reading(**new.model_dump())
    session.add(reading)
    await session.flush()
    await session.refresh(reading)
    return reading


@app.get("/session", response_model=list[ReadingSchema])
async def read(session: ReadSessionDep) -> list[Reading]:
    return list(await session.scalars(select(Reading)))


@app.get("/compiled", response_model=list[ReadingSchema])
async def read_compiled(reader: ReaderDep) -> list[ReadingSchema]:
    return await reader.all(ALL)


set_up(app)
VALID = {
    "measured_at": "2026-01-31T12:00:00Z",
    "measured_on": "2026-01-31",
    "celsius": 1.5,
    "lasted": "P0DT12H30M0S",
    "due_at": "12:30:00",
    "share": "0.5",
}


@pytest.fixture
async def client() -> AsyncGenerator[AsyncClient]:
    async with client_with_tables(app, Base.metadata) as client:
        yield client


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"measured_at": "9999-12-31T23:59:59.999998Z"},
        {"measured_at": "0001-01-01T00:00:00.000001Z"},
        {"measured_on": "9999-12-30"},
        {"measured_on": "0001-01-02"},
        {"celsius": 1.7976931348623157e308},
        {"celsius": -5e-324},
        {"lasted": "P400DT0H0M0S"},
        {"lasted": "P0DT0H0M0.000001S"},
        {"lasted": "P10675199DT23H59M59.9S"},
        {"due_at": "23:59:59.999999"},
        {"share": "10000"},
        {"share": "-0.000000001"},
    ],
)
async def test_accepted_values_are_stored_and_read_back(
    client: AsyncClient, change: dict[str, Any]
) -> None:
    sent = VALID | change

    created = await client.post("/", json=sent)
    read = [(await client.get(path)).json() for path in ("/session", "/compiled")]

    assert (created.status_code, created.json()) == (200, sent)
    assert read == [[sent], [sent]]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("measured_at", '"9999-12-31T23:59:59.999999Z"'),
        ("measured_at", '"9999-12-31T23:59:59-23:59"'),
        ("measured_at", '"0001-01-01T00:00:00Z"'),
        ("measured_at", '"0001-01-01T00:00:00+23:59"'),
        ("measured_at", '"2026-01-31T12:00:00"'),
        ("measured_at", '"10000-01-01T00:00:00Z"'),
        ("measured_at", '"infinity"'),
        ("measured_at", '"1700000000"'),
        ("measured_at", "1700000000"),
        ("measured_on", '"9999-12-31"'),
        ("measured_on", '"0001-01-01"'),
        ("measured_on", '"2026-01-31T00:00:00"'),
        ("measured_on", '"2026-02-30"'),
        ("measured_on", "0"),
        ("celsius", "NaN"),
        ("celsius", "-Infinity"),
        ("celsius", "1e400"),
        ("celsius", '"1.5"'),
        ("celsius", "true"),
        ("lasted", '"P1Y"'),
        ("lasted", '"P1M"'),
        ("lasted", '"P1W"'),
        ("lasted", '"P"'),
        ("lasted", '"P1DT"'),
        ("lasted", '"-P1D"'),
        ("lasted", '"-1 day, 1:00:00"'),
        ("lasted", '"12:30:00"'),
        ("lasted", '"PT0.0000001S"'),
        ("lasted", '"P9999999999D"'),
        ("lasted", "90"),
        ("due_at", '"12:30:00+02:00"'),
        ("due_at", '"12:30Z"'),
        ("due_at", '"24:00"'),
        ("due_at", '"12:30:00.0000001"'),
        ("due_at", "45000"),
        ("share", '"NaN"'),
        ("share", '"Infinity"'),
    ],
)
async def test_values_that_would_change_in_storage_are_refused(
    client: AsyncClient, field: str, value: str
) -> None:
    body = json.dumps(VALID | {field: None}).replace("null", value)
    headers = {"content-type": "application/json"}

    response = await client.post("/", content=body, headers=headers)

    assert response.status_code == 422
    assert response.json()["errors"][0]["loc"] == ["body", field]


@pytest.mark.parametrize("path", ["/session", "/compiled"])
@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("measured_at", "infinity"),
        ("measured_at", "-infinity"),
        ("measured_at", "20000-01-01"),
        ("measured_at", "4000-01-01 BC"),
        ("measured_on", "infinity"),
        ("measured_on", "20000-01-01"),
        ("celsius", "NaN"),
        ("celsius", "-infinity"),
        ("lasted", "-1 day"),
        ("lasted", "4000000 years"),
        ("due_at", "24:00"),
        ("share", "NaN"),
    ],
)
async def test_a_stored_value_that_json_cannot_hold_is_an_error_that_names_its_column(
    client: AsyncClient,
    caplog: pytest.LogCaptureFixture,
    path: str,
    column: str,
    value: str,
) -> None:
    await client.post("/", json=VALID)
    async with engine.begin() as connection:
        await _store(connection, column, value)

    response = await client.get(path)

    assert response.status_code == 500
    assert column in caplog.text


async def _store(connection: AsyncConnection, column: str, value: str) -> None:
    await connection.execute(text(f"UPDATE test_reading SET {column} = '{value}'"))


def test_the_openapi_document_names_the_usual_formats() -> None:
    schemas = app.openapi()["components"]["schemas"]
    properties = schemas["ReadingSchema-Output"]["properties"]

    assert {name: schema["type"] for name, schema in properties.items()} == {
        "measured_at": "string",
        "measured_on": "string",
        "celsius": "number",
        "lasted": "string",
        "due_at": "string",
        "share": "string",
    }
    assert properties["measured_at"]["format"] == "date-time"
    assert properties["measured_on"]["format"] == "date"
    assert properties["lasted"]["format"] == "duration"
    assert properties["due_at"]["format"] == "time"
