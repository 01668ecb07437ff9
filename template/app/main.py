"""The application."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from pydantic import BaseModel

from app import api
from app.core import health
from app.core.config import settings
from app.core.database import engine
from app.core.errors import add_error_handlers


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    """Close the connections at shutdown; at start-up the database need not be there."""
    yield
    await engine.dispose()


app = FastAPI(
    title=settings.APP_TITLE,
    description=settings.APP_DESCRIPTION,
    version=settings.APP_VERSION,
    debug=settings.DEBUG,
    docs_url="/docs",
    redoc_url="/redoc",
    lifespan=lifespan,
)
add_error_handlers(app)
app.include_router(api.router)
app.include_router(health.router)


class Service(BaseModel):
    service: str
    version: str


@app.get("/", tags=["service"])
async def root() -> Service:
    """Say which service this is."""
    return Service(service=settings.APP_TITLE, version=settings.APP_VERSION)
