"""The errors that a service raises for a request that cannot be done."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any


class ServiceError(Exception):
    """A request that cannot be done; its message is shown to the client."""

    status = HTTPStatus.BAD_REQUEST
    members: Mapping[str, Any] = {}


class NotFoundError(ServiceError):
    status = HTTPStatus.NOT_FOUND


class ConflictError(ServiceError):
    status = HTTPStatus.CONFLICT


class PreconditionFailedError(ServiceError):
    status = HTTPStatus.PRECONDITION_FAILED


class PreconditionRequiredError(ServiceError):
    status = HTTPStatus.PRECONDITION_REQUIRED


class InvalidError(ServiceError):
    """An invalid part of the request, found by the service: `loc` is the path to it."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY

    def __init__(self, detail: str, *, loc: list[str | int]) -> None:
        super().__init__(detail)
        error = {"loc": loc, "msg": detail, "type": "value_error"}
        self.members = {"errors": [error]}
