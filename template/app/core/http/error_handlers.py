"""Maps the errors of services, validation and the framework to problem documents."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from app.core.errors import ServiceError
from app.core.http.problems import Problem, body_too_large
from app.core.http.route_index import methods_of

MAX_ERRORS = 20
MAX_LENGTH = 200
# What Starlette says, which does not name the limit.
TOO_LARGE = "Content Too Large"


def add_error_handlers(app: FastAPI) -> None:
    """Respond with a problem to errors of services, of validation and of the framework."""

    @app.exception_handler(ServiceError)
    async def _(request: Request, error: ServiceError) -> Problem:
        return Problem(error.status, str(error), **error.members)

    @app.exception_handler(RequestValidationError)
    async def _(request: Request, error: RequestValidationError) -> Problem:
        # A required header, as the OpenAPI document says, but with a status of its own.
        if [part["loc"] for part in error.errors()] == [("header", "If-Match")]:
            return Problem(
                HTTPStatus.PRECONDITION_REQUIRED,
                "Send the ETag of the version to change in the If-Match header.",
            )
        # The framework reads a body as JSON only if its header says so.
        is_body = any(part["loc"][0] == "body" for part in error.errors())
        if is_body and isinstance(error.body, bytes):
            return Problem(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                "Send the body as JSON, with the header Content-Type: application/json.",
            )
        return Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "The request is not valid.",
            errors=_fields(error.errors()),
        )

    @app.exception_handler(HTTPException)
    async def _(request: Request, error: HTTPException) -> Problem:
        headers = dict(error.headers or {})
        is_method = error.status_code == HTTPStatus.METHOD_NOT_ALLOWED
        # A mounted app already set Allow.
        if is_method and (methods := methods_of(request.scope)):
            headers["Allow"] = ", ".join(sorted(methods))
        # Of a body that exceeded the limit while a route received it.
        is_too_large = error.detail == TOO_LARGE
        detail = body_too_large(request.scope) if is_too_large else error.detail
        return Problem(error.status_code, detail, headers=headers)


def _fields(errors: Sequence[Any]) -> list[dict[str, Any]]:
    """Return where and why, but never the value, which may be secret or huge."""
    return [
        {
            "loc": [
                part if isinstance(part, int) else str(part)[:MAX_LENGTH]
                for part in error["loc"]
            ],
            "msg": error["msg"][:MAX_LENGTH],
            "type": error["type"],
        }
        for error in errors[:MAX_ERRORS]
    ]
