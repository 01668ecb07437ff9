"""The lag of the event loop: the time that a blocking call costs all other requests."""

import asyncio
from time import perf_counter

from opentelemetry import metrics

from app.core.otel.spans import BOUNDARIES

INTERVAL_SECONDS = 0.5

lag = metrics.get_meter("app").create_histogram(
    "app.event_loop.lag",
    unit="s",
    description="The delay with which the event loop woke a task.",
    explicit_bucket_boundaries_advisory=BOUNDARIES,
)


async def watch_loop() -> None:
    """Measure the lag of the event loop until canceled."""
    while True:
        due = perf_counter() + INTERVAL_SECONDS
        await asyncio.sleep(INTERVAL_SECONDS)
        lag.record(max(0.0, perf_counter() - due))
