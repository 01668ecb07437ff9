"""What a service raises when a request cannot be done, and the response it becomes."""

from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from sqlalchemy.exc import IntegrityError


class ServiceError(Exception):
    """A request that cannot be done; its text is shown to the client."""

    status = HTTPStatus.BAD_REQUEST


class NotFoundError(ServiceError):
    status = HTTPStatus.NOT_FOUND


class ConflictError(ServiceError):
    status = HTTPStatus.CONFLICT


class Problem(JSONResponse):
    """A problem details document (RFC 9457)."""

    media_type = "application/problem+json"

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        content = {"title": status.phrase, "status": status, "detail": detail}
        super().__init__(content, status)


def add_error_handlers(app: FastAPI) -> None:
    """Answer every error a service or the database raises with problem details."""

    @app.exception_handler(ServiceError)
    async def _(request: Request, error: ServiceError) -> Problem:
        return Problem(error.status, str(error))

    @app.exception_handler(IntegrityError)
    async def _(request: Request, error: IntegrityError) -> Problem:
        # The database's own words would show table names and values.
        detail = "The change contradicts what is stored already."
        return Problem(HTTPStatus.CONFLICT, detail)
