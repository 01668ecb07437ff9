"""Engines whose pool and statements are measured."""

from dataclasses import replace

from app.core.db.engines import EngineOptions
from app.core.otel.environment import is_wanted
from app.core.otel.pools import MeasuredPool
from app.core.otel.statements import MeasuredConnection


def measured(options: EngineOptions) -> EngineOptions:
    """Return options for an engine that measures, if telemetry has a destination."""
    return measuring(options) if is_wanted() else options


def measuring(options: EngineOptions) -> EngineOptions:
    """Return options for an engine that measures."""
    return replace(
        options, connection_class=MeasuredConnection, pool_class=MeasuredPool
    )
