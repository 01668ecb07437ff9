"""The application."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from pydantic import BaseModel

from app import api
from app.core.application import set_up
from app.core.config import settings
from app.core.database import engine


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    """Close the connections at shutdown; at start-up the database need not be there."""
    # Yours between this line and the yield: what the service needs while it runs.
    yield
    await engine.dispose()


app = FastAPI(
    title=settings.APP_TITLE,
    description=settings.APP_DESCRIPTION,
    version=settings.APP_VERSION,
    debug=settings.DEBUG,
    docs_url="/docs" if settings.DOCS else None,
    redoc_url="/redoc" if settings.DOCS else None,
    openapi_url="/openapi.json" if settings.DOCS else None,
    lifespan=lifespan,
)
app.include_router(api.router)
set_up(app)


class Service(BaseModel):
    service: str
    version: str


@app.get("/", tags=["service"], operation_id="root")
async def root() -> Service:
    """Say which service this is."""
    return Service(service=settings.APP_TITLE, version=settings.APP_VERSION)


# Yours from here on: an update changes only what is above this line.
