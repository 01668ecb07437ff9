"""The OpenAPI document, as generators of clients read it."""

from enum import StrEnum
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Cookie, FastAPI, Header, Query
from pydantic import BaseModel, Field

from app.core.application import set_up
from app.core.http.openapi import problems
from app.core.http.query_models import query_model


class Color(StrEnum):
    RED = "red"
    BLUE = "blue"


class Filters(BaseModel):
    name: Annotated[str, Field(max_length=9)] | None = None


router = APIRouter(prefix="/lamps", tags=["lamps", "light"])


@router.get("", responses=problems(404, 409, 499))
async def list_lamps(
    filters: Annotated[Filters, query_model(Filters)],
    size: Annotated[int | str | None, Query()] = None,
    color: Annotated[Color | None, Query(description="Any, if left out.")] = None,
    sizes: Annotated[list[int] | None, Query()] = None,
    x_room: Annotated[str | None, Header()] = None,
    visitor: Annotated[str | None, Cookie()] = None,
) -> str | None: ...


def document_of(**options: Any) -> dict[str, Any]:
    app = FastAPI(**options)
    app.include_router(router)
    set_up(app)
    return app.openapi()


def test_a_parameter_is_left_out_and_never_null() -> None:
    operation = document_of()["paths"]["/lamps"]["get"]

    schemas = {each["name"]: each["schema"] for each in operation["parameters"]}
    assert schemas == {
        "name": {"type": "string", "maxLength": 9, "title": "Name"},
        "size": {"anyOf": [{"type": "integer"}, {"type": "string"}], "title": "Size"},
        "color": {
            "$ref": "#/components/schemas/Color",
            "title": "Color",
            "description": "Any, if left out.",
        },
        "sizes": {"type": "array", "items": {"type": "integer"}, "title": "Sizes"},
        "x-room": {"type": "string", "title": "X-Room"},
        "visitor": {"type": "string", "title": "Visitor"},
    }
    assert {each["required"] for each in operation["parameters"]} == {False}


def test_null_in_a_response_stays() -> None:
    operation = document_of()["paths"]["/lamps"]["get"]

    (media,) = operation["responses"]["200"]["content"].values()
    assert {"type": "null"} in media["schema"]["anyOf"]


@pytest.mark.parametrize(
    ("status", "model", "always", "sometimes"),
    [
        ("404", "ProblemDetails", set(), set()),
        ("409", "ConflictDetails", set(), {"fields"}),
        ("422", "InvalidRequest", {"errors"}, set()),
        ("499", "ProblemDetails", set(), set()),
        ("default", "ProblemDetails", set(), set()),
    ],
)
def test_an_error_has_the_schema_of_its_status(
    status: str, model: str, always: set[str], sometimes: set[str]
) -> None:
    document = document_of()
    responses = document["paths"]["/lamps"]["get"]["responses"]

    schema = {"$ref": f"#/components/schemas/{model}"}
    assert responses[status]["content"] == {
        "application/problem+json": {"schema": schema}
    }
    described = document["components"]["schemas"][model]
    required = {"title", "status", "detail", "request_id"} | always
    assert set(described["required"]) == required
    assert set(described["properties"]) == required | sometimes


def test_every_operation_may_fail_with_a_problem_document() -> None:
    document = document_of()

    for path in document["paths"].values():
        for operation in path.values():
            assert "default" in operation["responses"]
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_the_document_has_the_license_and_every_tag() -> None:
    licenses = {"name": "MIT", "identifier": "MIT"}

    default = document_of()
    own = document_of(
        license_info=licenses, openapi_tags=[{"name": "light", "description": "It is."}]
    )

    assert default["info"]["license"]["name"]
    assert default["tags"] == [{"name": n} for n in ("lamps", "light", "health")]
    assert own["info"]["license"] == licenses
    assert own["tags"] == [
        {"name": "light", "description": "It is."},
        {"name": "lamps"},
        {"name": "health"},
    ]


def test_the_document_has_the_routes_that_were_added_after_it_was_made() -> None:
    app = FastAPI()
    set_up(app)
    made = app.openapi()
    app.get("/late")(list_lamps)

    remade = app.openapi()

    assert app.openapi() is remade
    assert "/late" not in made["paths"]
    assert "default" in remade["paths"]["/late"]["get"]["responses"]


def test_the_document_is_made_again_when_it_was_cleared() -> None:
    app = FastAPI(title="Lamps")
    set_up(app)
    made = app.openapi()
    app.title, app.openapi_schema = "Chairs", None

    assert app.openapi() == made | {"info": made["info"] | {"title": "Chairs"}}
