"""Versions of a resource in HTTP: entity tags and preconditions (RFC 9110 §13).

A tag identifies the version of the row, not of its representation: a release that adds a
field to the response does not change it.
"""

from collections.abc import Container
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Depends, Header
from starlette.datastructures import Headers
from starlette.types import Message, Scope

# For `responses=`: the headers of a route that names the version in its response.
_HEADER = {"description": "The version in this response.", "schema": {"type": "string"}}
_LOCATION = {
    "description": "The path of the new resource.",
    "schema": {"type": "string"},
}
ETAG: dict[str, Any] = {"headers": {"ETag": _HEADER}}
ETAG_AND_LOCATION: dict[str, Any] = {
    "headers": {"ETag": _HEADER, "Location": _LOCATION}
}
NOT_MODIFIED: dict[str, Any] = {"description": "Not Modified", **ETAG}
KNOWN_VERSIONS = "ETags of known versions: 304 if one of them is still current."
# What describes a body, which a 304 has not.
OF_BODY = {b"content-encoding", b"content-length", b"content-type"}


def etag(version: int) -> str:
    return f'"{version}"'


class Versions(Container[int]):
    """The versions in a header, by weak comparison.

    RFC 9110 asks for the strong one in If-Match. But a proxy that compresses a response,
    such as nginx, makes its tag weak, and its client could then never change the row.
    Since a tag is the version of the row, a weak one is as good.
    """

    def __init__(self, header: str) -> None:
        self._tags = {tag.strip().removeprefix("W/") for tag in header.split(",")}

    def __contains__(self, version: object) -> bool:
        return self.include(f'"{version}"')

    def include(self, tag: str) -> bool:
        """Return whether an entity tag is one of the versions."""
        return self._tags == {"*"} or tag in self._tags


async def _if_match(
    if_match: Annotated[
        str,
        Header(
            alias="If-Match",
            description="The ETag of the version to change, or `*` for any.",
            examples=['"1"', "*"],
        ),
    ],
) -> Versions:
    return Versions(if_match)


# Required: without it the response is 428 (RFC 6585 §3), by the error handlers.
IfMatch = Annotated[Versions, Depends(_if_match)]
# Only for a route that can tell the version before it does the work: every other read with an
# ETag is compared on its way out.
IfNoneMatch = Annotated[
    str | None, Header(alias="If-None-Match", description=KNOWN_VERSIONS)
]


def not_modified(if_none_match: str | None, version: int) -> bool:
    """Return whether the client already has this version."""
    return if_none_match is not None and version in Versions(if_none_match)


def repeats_known_version(scope: Scope, start: Message) -> bool:
    """Return whether a response is a version that its client has (RFC 9110 §13.1.2)."""
    if scope["method"] not in {"GET", "HEAD"} or start["status"] != HTTPStatus.OK:
        return False
    known = dict(scope["headers"]).get(b"if-none-match")
    if known is None:
        return False
    versions, tag = Versions(known.decode("latin-1")), Headers(scope=start).get("etag")
    return tag is not None and versions.include(tag.removeprefix("W/"))


def without_body(start: Message) -> Message:
    """Return the start of the 304 that replaces a response."""
    headers = [header for header in start["headers"] if header[0] not in OF_BODY]
    return {**start, "status": HTTPStatus.NOT_MODIFIED, "headers": headers}
