"""The plain design: the engine, the session and the mixins that a tutorial shows.

Its resource is as plain. The POST commits by itself: `get_db` commits when the response
has been sent already, and the servers are to be compared by the same promise.
"""

import uuid
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException
from pydantic import BaseModel, ConfigDict
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import settings
from app.core.database import engine, get_db
from app.models import Item


@asynccontextmanager
async def lifespan(app: FastAPI):
    # Startup: nothing needed, engine connects lazily
    yield
    # Shutdown: dispose the connection pool
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


SessionDep = Annotated[AsyncSession, Depends(get_db)]


class ItemCreate(BaseModel):
    name: str
    description: str | None = None
    quantity: int = 0


class ItemRead(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID
    name: str
    description: str | None
    quantity: int
    version: int
    created_at: datetime
    updated_at: datetime


class Page(BaseModel):
    items: list[ItemRead]
    next: str | None = None


class Service(BaseModel):
    service: str
    version: str


@app.get("/")
async def root() -> Service:
    return Service(service=settings.APP_TITLE, version=settings.APP_VERSION)


@app.get("/items", response_model=Page)
async def list_items(db: SessionDep, limit: int = 20):
    result = await db.execute(
        select(Item).order_by(Item.created_at, Item.id).limit(limit)
    )
    return {"items": result.scalars().all()}


@app.get("/items/{item_id}", response_model=ItemRead)
async def get_item(item_id: uuid.UUID, db: SessionDep):
    item = await db.get(Item, item_id)
    if item is None:
        raise HTTPException(404)
    return item


@app.post("/items", status_code=201, response_model=ItemRead)
async def create_item(new: ItemCreate, db: SessionDep):
    item = Item(**new.model_dump())
    db.add(item)
    await db.commit()
    return item
