"""FastAPI's own spans of requests, without anything that a client has sent."""

from collections.abc import Container

from asgi_correlation_id import correlation_id
from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from opentelemetry import metrics, trace
from opentelemetry.trace import StatusCode
from starlette._utils import get_route_path
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from app.core.db.failures import driver_error, sqlstate

retries = metrics.get_meter("app").create_counter(
    "app.request.retries",
    unit="{retry}",
    description="Requests that ran again after a failure of the database.",
)


def trace_requests(app: FastAPI, *, exclude: Container[str | None]) -> None:
    """Let an application make spans and metrics of requests, except for some paths.

    Its spans have the request's id, which is in every problem document. The paths that
    the application itself excludes stay excluded.
    """
    own = app._telemetry.get("exclude")
    config: TelemetryConfig = {
        # FastAPI's own set-up delays the exit while the collector does not respond.
        "auto_configure": False,
        # Spans of dependencies and of validation double the cost of a request.
        "operation_spans": False,
        # They contain the text of exceptions, and with it values.
        "logs": False,
        "exclude": lambda scope: (
            get_route_path(scope) in exclude or (own is not None and own(scope))
        ),
    }
    # It is an argument of FastAPI(), but main.py is for the team to edit.
    app._telemetry.update(config)
    build = app.build_middleware_stack
    app.build_middleware_stack = lambda: RequestSpans(build())


class RequestSpans:
    """Writes the id of each request to its span, and the failure of a WebSocket."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        span = trace.get_current_span()
        if span.is_recording() and (request_id := correlation_id.get()):
            span.set_attribute("app.request_id", request_id)
        try:
            await self.app(scope, receive, send)
        except Exception as error:
            # FastAPI sees the failure of a request by its status. The failure of a
            # WebSocket ends at the boundary, before it gets there.
            if scope["type"] == "websocket" and not isinstance(
                error, WebSocketDisconnect
            ):
                span.set_attribute("error.type", type(error).__qualname__)
                span.set_status(StatusCode.ERROR)
            raise


def record_retry(error: Exception) -> None:
    """Count a request that runs again, and note it in its span."""
    reason = {"error.type": sqlstate(error) or type(driver_error(error)).__qualname__}
    retries.add(1, reason)
    trace.get_current_span().add_event("retry", reason)
