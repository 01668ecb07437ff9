"""What every operation has in common in the OpenAPI document."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from pydantic import MISSING, BaseModel
from pydantic.json_schema import models_json_schema

from app.core.http.etags import KNOWN_VERSIONS
from app.core.http.problems import MEDIA_TYPE, phrase
from app.core.http.query_models import excess_of_parameter_models


class ProblemDetails(BaseModel):
    """An error, as RFC 9457 describes it."""

    title: str
    status: int
    detail: str
    request_id: str


class ConflictDetails(ProblemDetails):
    """A conflict; `fields` are the columns of the constraint that it violates, if any."""

    fields: list[str] | MISSING = MISSING


class InvalidField(BaseModel):
    """An invalid part of the request, as the path to it and the reason."""

    loc: list[str | int]
    msg: str
    type: str


class InvalidRequest(ProblemDetails):
    """An invalid request, field by field."""

    errors: list[InvalidField]


# The errors that say more than others.
MODELS: dict[int, type[ProblemDetails]] = {
    HTTPStatus.CONFLICT: ConflictDetails,
    HTTPStatus.UNPROCESSABLE_ENTITY: InvalidRequest,
}

IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": KNOWN_VERSIONS,
    "schema": {
        "type": "string",
        "title": "If-None-Match",
        "description": KNOWN_VERSIONS,
    },
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Document the errors of a route: `responses=problems(404, 409)`."""
    return {
        status: _response(phrase(status), MODELS.get(status, ProblemDetails))
        for status in statuses
    }


def extend_document(app: FastAPI, extend: Callable[[dict[str, Any]], None]) -> None:
    """Apply a function to each OpenAPI document that the application generates.

    FastAPI generates another one after a route was added.
    """
    generate = app.openapi
    extended: dict[str, Any] | None = None

    def openapi() -> dict[str, Any]:
        nonlocal extended
        document = generate()
        if document is not extended:
            extend(document)
            extended = document
        return document

    app.openapi = openapi


def document_problems(app: FastAPI) -> None:
    """Document every error as a problem document, and parameters as they can be sent."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        try:
            return generate()
        except KeyError:
            if excess := excess_of_parameter_models(app):
                raise RuntimeError(excess) from None
            raise

    app.openapi = openapi
    extend_document(app, _describe)


def _describe(document: dict[str, Any]) -> None:
    _, models = models_json_schema(
        [(model, "serialization") for model in (ProblemDetails, *MODELS.values())],
        ref_template="#/components/schemas/{model}",
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas.update(models["$defs"])
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    tags = {tag["name"]: tag for tag in document.get("tags", ())}
    for path in document["paths"].values():
        for operation in path.values():
            for parameter in operation.get("parameters", ()):
                parameter["schema"] = _without_null(parameter["schema"])
            responses = operation["responses"]
            if "304" in responses:
                _add_if_none_match(operation)
            if "422" in responses:
                responses["422"] = _response("Invalid request", InvalidRequest)
            responses["default"] = _response("Any other error", ProblemDetails)
            for tag in operation.get("tags", ()):
                tags.setdefault(tag, {"name": tag})
    document["tags"] = list(tags.values())


def _response(description: str, model: type[BaseModel]) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"description": description, "content": {MEDIA_TYPE: {"schema": schema}}}


def _add_if_none_match(operation: dict[str, Any]) -> None:
    """Document the header of a route that may be a 304, unless it declares it itself."""
    parameters = operation.setdefault("parameters", [])
    if IF_NONE_MATCH["name"] not in {parameter["name"] for parameter in parameters}:
        parameters.append(IF_NONE_MATCH)


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a parameter without null, which no parameter can carry.

    Generated clients would send it as the text "null".
    """
    kinds = schema.get("anyOf", [])
    sent = [kind for kind in kinds if kind != {"type": "null"}]
    if sent == kinds:
        return schema
    rest = {key: value for key, value in schema.items() if key != "anyOf"}
    return (sent[0] if len(sent) == 1 else {"anyOf": sent}) | rest
