"""Problem documents: the body of every error (RFC 9457)."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from asgi_correlation_id import correlation_id
from starlette.middleware.body_limit import MAX_BODY_SIZE_SCOPE_KEY
from starlette.responses import Response
from starlette.types import Scope

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 1


class Problem(Response):
    """A response that describes an error; a 503 says when to try again.

    A 422 always lists `errors`: clients that are generated rely on the list.
    """

    media_type = MEDIA_TYPE

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        status = int(status)
        headers = dict(headers or {})
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            headers.setdefault("Retry-After", str(RETRY_AFTER_SECONDS))
        content = {
            "title": phrase(status),
            "status": status,
            "detail": detail,
            "request_id": correlation_id.get(),
            **members,
        }
        if status == HTTPStatus.UNPROCESSABLE_ENTITY:
            content.setdefault("errors", [])
        # As ASCII: text that came from the client may not be encodable otherwise.
        super().__init__(json.dumps(content).encode(), status, headers)


def phrase(status: int) -> str:
    """Return the reason phrase of a status, or "Error" for a nonstandard one."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def body_too_large(scope: Scope) -> str:
    """Return the detail of a 413: the limit that holds for the route."""
    limit = scope.get(MAX_BODY_SIZE_SCOPE_KEY)
    return f"The body is larger than {limit} bytes." if limit else phrase(413)
