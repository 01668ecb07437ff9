"""Spans and metrics in memory, and an engine that measures."""

from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.config import settings
from app.core.database import (
    async_session_factory,
    options,
    read_session_factory,
    reader,
)
from app.core.db.engines import make_engine
from app.core.otel.engines import measuring
from app.core.otel.pools import measure_connecting
from app.core.otel.providers import tracer_provider
from tests.core.otel.sent import Sent


@pytest.fixture(scope="session")
def in_memory() -> tuple[InMemorySpanExporter, InMemoryMetricReader]:
    """Providers, which a process can set only once: other tests make spans too."""
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    processors = [SimpleSpanProcessor(exporter)]
    trace.set_tracer_provider(tracer_provider(Resource({}), processors))
    metrics.set_meter_provider(MeterProvider([reader], shutdown_on_exit=False))
    return exporter, reader


@pytest.fixture
def sent(in_memory: tuple[InMemorySpanExporter, InMemoryMetricReader]) -> Sent:
    """The spans and metrics of one test."""
    return Sent(*in_memory)


@pytest.fixture
async def measured(sent: Sent) -> AsyncGenerator[AsyncEngine]:
    """An engine with one connection that measures, for all that a request does."""
    single = replace(options, pool_size=1, max_overflow=0, pool_timeout=0.2)
    engine = make_engine(settings.DATABASE_URL, measuring(single))
    measure_connecting(engine)
    reading = engine.execution_options(isolation_level="AUTOCOMMIT")
    factories = {async_session_factory: engine, read_session_factory: reading}
    binds = {factory: factory.kw["bind"] for factory in factories}
    for factory, bind in factories.items():
        factory.configure(bind=bind)
    kept, reader.bind = reader.bind, reading
    yield engine
    reader.bind = kept
    for factory, bind in binds.items():
        factory.configure(bind=bind)
    await engine.dispose()
