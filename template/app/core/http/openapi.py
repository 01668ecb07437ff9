"""The problem documents of every route, in the OpenAPI document."""

from functools import cache
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from app.core.http.problems import MEDIA_TYPE, phrase
from app.core.http.query_models import excess_of_parameter_models


class ProblemDetails(BaseModel):
    """An error, as RFC 9457 describes it."""

    title: str
    status: int
    detail: str
    request_id: str | None = None


class InvalidField(BaseModel):
    """An invalid part of the request, as the path to it and the reason."""

    loc: list[str | int]
    msg: str
    type: str


class InvalidRequest(ProblemDetails):
    """An invalid request, field by field."""

    errors: list[InvalidField] = []


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Document the errors of a route: `responses=problems(404, 409)`."""
    return {status: _response(phrase(status), ProblemDetails) for status in statuses}


def document_problems(app: FastAPI) -> None:
    """Document every error of the application as a problem document."""
    generate = app.openapi

    @cache
    def openapi() -> dict[str, Any]:
        if excess := excess_of_parameter_models(app):
            raise RuntimeError(excess)
        document = generate()
        _, models = models_json_schema(
            [(ProblemDetails, "serialization"), (InvalidRequest, "serialization")],
            ref_template="#/components/schemas/{model}",
        )
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas.update(models["$defs"])
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        for path in document["paths"].values():
            for operation in path.values():
                responses = operation["responses"]
                if "422" in responses:
                    responses["422"] = _response("Invalid request", InvalidRequest)
                responses["default"] = _response("Any other error", ProblemDetails)
        return document

    app.openapi = openapi


def _response(description: str, model: type[BaseModel]) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"description": description, "content": {MEDIA_TYPE: {"schema": schema}}}
