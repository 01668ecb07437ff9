"""FastAPI and SQL on a pool of asyncpg: what the framework costs, without an ORM."""

import os
import uuid
from contextlib import asynccontextmanager
from datetime import datetime

import asyncpg
from fastapi import FastAPI, HTTPException
from limit import ADD, ONE, PAGE, no_reset
from pydantic import BaseModel
from uuid_utils.compat import uuid7


class ItemCreate(BaseModel):
    name: str
    description: str | None = None
    quantity: int = 0


class ItemRead(ItemCreate):
    id: uuid.UUID
    version: int
    created_at: datetime
    updated_at: datetime


class Page(BaseModel):
    items: list[ItemRead]
    next: str | None = None


class Service(BaseModel):
    service: str
    version: str


pool: asyncpg.Pool


@asynccontextmanager
async def lifespan(app: FastAPI):
    global pool
    pool = await asyncpg.create_pool(os.environ["DATABASE_URL"], reset=no_reset)
    yield
    await pool.close()


app = FastAPI(lifespan=lifespan)


@app.get("/")
async def root() -> Service:
    return Service(service="Benchmark", version="1.0")


@app.get("/items", response_model=Page)
async def list_items(limit: int = 20):
    return {"items": [dict(row) for row in await pool.fetch(PAGE, limit)]}


@app.get("/items/{item_id}", response_model=ItemRead)
async def get_item(item_id: uuid.UUID):
    row = await pool.fetchrow(ONE, item_id)
    if row is None:
        raise HTTPException(404)
    return dict(row)


@app.post("/items", status_code=201, response_model=ItemRead)
async def create_item(new: ItemCreate):
    row = await pool.fetchrow(ADD, uuid7(), new.name, new.description, new.quantity)
    return dict(row)
