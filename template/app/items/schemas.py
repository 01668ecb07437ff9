"""The request and response bodies of the items."""

import uuid
from datetime import datetime
from typing import Annotated, Literal

from pydantic import MISSING, BaseModel, ConfigDict, Field, StringConstraints

from app.core.db.pagination import PageQuery
from app.core.json_types import JSON_NUMBER, LINE, TEXT

Name = Annotated[
    str, StringConstraints(max_length=100, pattern=LINE), Field(examples=["Lamp"])
]
Description = Annotated[
    str, StringConstraints(max_length=1000, pattern=TEXT), Field(examples=["Green"])
]
Quantity = Annotated[int, Field(ge=0, le=2**31 - 1, examples=[3]), JSON_NUMBER]
Text = Annotated[
    str,
    StringConstraints(min_length=1, max_length=1000, pattern=TEXT),
    Field(examples=["Needs a new bulb."]),
]
Sort = Literal["created_at", "-created_at", "quantity", "-quantity"]


class ItemCreate(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Name
    description: Description | None = None
    quantity: Quantity = 0


class ItemUpdate(BaseModel):
    """The fields to change; a field that is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    name: Name | MISSING = MISSING
    description: Description | None | MISSING = MISSING
    quantity: Quantity | MISSING = MISSING


class ItemRead(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID
    name: str
    description: str | None
    quantity: int
    version: int
    created_at: datetime
    updated_at: datetime


class ItemQuery(PageQuery):
    name: Name | None = None
    sort: Sort = "created_at"


class NoteCreate(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: Text


class NoteRead(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID
    text: str
    created_at: datetime
