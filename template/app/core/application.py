"""Wires the middleware, error handlers and health routes into the application."""

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from app.core import health
from app.core.config import settings
from app.core.http.boundary import add_request_boundary
from app.core.http.database_failures import DatabaseFailures
from app.core.http.error_handlers import add_error_handlers
from app.core.http.openapi import document_problems
from app.core.http.route_checks import add_route_checks
from app.core.logging import configure_logging


def set_up(app: FastAPI) -> None:
    """Add everything that a service has in common with every other service."""
    configure_logging()
    app.include_router(health.router)
    add_error_handlers(app)
    app.max_body_size = settings.MAX_BODY_BYTES
    # The first is the innermost. Middleware that a team adds later wraps all of these.
    app.add_middleware(DatabaseFailures)
    if settings.CORS_ORIGINS:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.CORS_ORIGINS,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["ETag", "Location", "Retry-After", "X-Request-ID"],
        )
    if "*" not in settings.ALLOWED_HOSTS:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=settings.ALLOWED_HOSTS)
    add_request_boundary(
        app,
        timeout=settings.REQUEST_TIMEOUT,
        draining=health.draining,
        probes=health.PROBES,
    )
    app.license_info = app.license_info or {"name": settings.APP_LICENSE}
    document_problems(app)
    add_route_checks(app)
