"""What every service has, whatever it is for."""

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from app.core import health
from app.core.config import settings
from app.core.http.boundary import put_in_envelope
from app.core.http.database_failures import DatabaseFailures
from app.core.http.error_handlers import add_error_handlers
from app.core.http.openapi import document_problems
from app.core.logging import configure_logging


def set_up(app: FastAPI) -> None:
    """Add the health routes, and what makes every response true and alike."""
    configure_logging()
    app.include_router(health.router)
    add_error_handlers(app)
    app.max_body_size = settings.MAX_BODY_BYTES
    # The first is the innermost. What a team adds afterwards is around all of these.
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
    put_in_envelope(app, timeout=settings.REQUEST_TIMEOUT)
    document_problems(app)
