"""What a client sends about an item, and what it gets."""

import uuid
from datetime import datetime
from typing import Annotated

from pydantic import MISSING, BaseModel, ConfigDict, Field, StringConstraints

from app.core.json_types import JSON_NUMBER, LINE, TEXT

Name = Annotated[str, StringConstraints(max_length=100, pattern=LINE)]
Description = Annotated[str, StringConstraints(max_length=1000, pattern=TEXT)]
Quantity = Annotated[int, Field(ge=0, le=2**31 - 1), JSON_NUMBER]


class ItemCreate(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Name
    description: Description | None = None
    quantity: Quantity = 0


class ItemUpdate(BaseModel):
    """The fields to change; one that is left out stays as it is."""

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
    created_at: datetime
    updated_at: datetime
