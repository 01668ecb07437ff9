"""What every service has, whatever it is for."""

from fastapi import FastAPI

from app.core import health
from app.core.errors import add_error_handlers


def set_up(app: FastAPI) -> None:
    """Add the error handlers and the health routes."""
    add_error_handlers(app)
    app.include_router(health.router)
