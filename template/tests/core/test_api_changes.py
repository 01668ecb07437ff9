"""Which changes of the OpenAPI document break a client, and which do not."""

from copy import deepcopy
from typing import Any, Literal

import pytest
from fastapi import FastAPI, Header
from pydantic import BaseModel, ConfigDict, Field

from tests.api_changes import breaking_changes, differences

app = FastAPI()


class NewLamp(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=10)
    power: int | None = 5


class Lamp(BaseModel):
    name: str
    color: Literal["red", "blue"] | None
    size: int
    kind: Literal["lamp"]
    labels: dict[str, str]
    parent: "Lamp | None"


@app.post("/lamps", responses={200: {"headers": {"ETag": {}}}})
async def create(lamp: NewLamp) -> list[Lamp]:
    return []


@app.get("/lamps")
async def read(
    size: int = 0, sort: Literal["a", "b"] = "a", x: str = Header("")
) -> int:
    return size


@app.delete("/lamps", status_code=204)
async def delete() -> None: ...


OLD = app.openapi()
NULL = {"type": "null"}
GET = "paths > /lamps > get"
POST = "paths > /lamps > post"
NEW_LAMP = "components > schemas > NewLamp"
LAMP = "components > schemas > Lamp"


def changed(path: str, value: object) -> dict[str, Any]:
    """Return the document with a value at a path; None removes what is there."""
    new: Any = deepcopy(OLD)
    *parents, last = path.split(" > ")
    place = new
    for key in parents:
        place = place[int(key) if isinstance(place, list) else key]
    if isinstance(place, list):
        del place[int(last)]
    elif value is None:
        del place[last]
    else:
        place[last] = value
    return new


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("paths > /lamps", None, "GET /lamps: removed"),
        (f"{GET}", None, "GET /lamps: removed"),
        (f"{GET} > security", [{"token": []}], "GET /lamps: requires authentication"),
        (f"{GET} > parameters > 0", None, "GET /lamps, query size: removed"),
        (
            f"{GET} > parameters > 2 > required",
            True,
            "GET /lamps, header x: is required",
        ),
        (
            *(f"{GET} > parameters > 0 > schema > maximum", 9),
            "GET /lamps, query size: maximum None → 9",
        ),
        (
            *(f"{GET} > parameters > 1 > schema > enum", ["a"]),
            "GET /lamps, query sort: enum ['a', 'b'] → ['a']",
        ),
        (
            *(f"{GET} > responses > 200 > content > application/json > schema", NULL),
            "GET /lamps, 200: type integer → null",
        ),
        (f"{POST} > responses > 200", None, "POST /lamps, 200: removed"),
        (
            *(f"{POST} > responses > 200 > headers", None),
            "POST /lamps, 200, header ETag: removed",
        ),
        (
            *(f"{POST} > requestBody > content", {"text/csv": {}}),
            "POST /lamps, request: no longer application/json",
        ),
        (
            *(f"{NEW_LAMP} > properties > name > maxLength", 5),
            "POST /lamps, request > name: maxLength 10 → 5",
        ),
        (
            *(f"{NEW_LAMP} > properties > name > minLength", 1),
            "POST /lamps, request > name: minLength None → 1",
        ),
        (
            *(f"{NEW_LAMP} > properties > name > pattern", "^a"),
            "POST /lamps, request > name: pattern None → ^a",
        ),
        (
            *(f"{NEW_LAMP} > properties > power > anyOf", [{"type": "integer"}]),
            "POST /lamps, request > power: no longer accepts null",
        ),
        (
            *(f"{NEW_LAMP} > properties > power", None),
            "POST /lamps, request > power: removed",
        ),
        (
            *(f"{NEW_LAMP} > required", ["name", "watts"]),
            "POST /lamps, request > watts: is required",
        ),
        (
            *(f"{LAMP} > properties > size", None),
            "POST /lamps, 200 > items > size: removed",
        ),
        (
            *(f"{LAMP} > required", ["name", "color", "kind", "labels", "parent"]),
            "POST /lamps, 200 > items > size: may be missing",
        ),
        (
            *(f"{LAMP} > properties > size > type", "number"),
            "POST /lamps, 200 > items > size: type integer → number",
        ),
        (
            *(f"{LAMP} > properties > size", {"anyOf": [{"type": "integer"}, NULL]}),
            "POST /lamps, 200 > items > size: may be null",
        ),
        (
            *(f"{LAMP} > properties > color > anyOf > 0 > enum", ["red", "blue", "x"]),
            "POST /lamps, 200 > items > color: enum ['red', 'blue'] → ['red', 'blue', 'x']",
        ),
        (
            *(f"{LAMP} > properties > kind > const", "bulb"),
            "POST /lamps, 200 > items > kind: enum ['lamp'] → ['bulb']",
        ),
        (
            *(f"{LAMP} > properties > labels > additionalProperties", {"type": "null"}),
            "POST /lamps, 200 > items > labels > additionalProperties: type string → null",
        ),
    ],
)
def test_a_change_that_breaks_clients_is_named_with_its_operation(
    path: str, value: object, reason: str
) -> None:
    assert reason in list(breaking_changes(OLD, changed(path, value)))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (f"{GET} > description", "Other words."),
        ("paths > /chairs", {"get": {"responses": {}}}),
        (f"{GET} > parameters > 0 > schema > type", "number"),
        (f"{GET} > parameters > 1 > schema > enum", ["a", "b", "c"]),
        (f"{GET} > responses > 404", {"description": "Not Found"}),
        (f"{POST} > responses > 422", None),
        (f"{NEW_LAMP} > properties > name > maxLength", 20),
        (f"{NEW_LAMP} > properties > color", {"type": "string"}),
        (f"{NEW_LAMP} > required", []),
        (f"{LAMP} > properties > price", {"type": "integer"}),
        (f"{LAMP} > properties > color > anyOf > 1", None),
        (f"{LAMP} > properties > color > anyOf > 0 > enum", ["red"]),
    ],
)
def test_a_change_that_clients_do_not_notice_is_a_difference_only(
    path: str, value: object
) -> None:
    new = changed(path, value)

    assert list(breaking_changes(OLD, new)) == []


def test_a_difference_is_named_with_its_schema() -> None:
    new = changed(f"{NEW_LAMP} > properties > name > maxLength", 5)
    new["components"]["schemas"]["NewLamp"]["required"].append("power")
    new["paths"]["/lamps"]["get"]["parameters"].pop(0)

    assert sorted(differences(OLD, new)) == [
        f"{NEW_LAMP} > properties > name > maxLength: 10 → 5",
        f"{NEW_LAMP} > required > power: added",
        "paths > /lamps > get > parameters > query size: removed",
    ]
    assert list(differences(OLD, deepcopy(OLD))) == []
