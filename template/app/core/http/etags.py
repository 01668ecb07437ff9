"""Versions of a resource in HTTP: entity tags and preconditions (RFC 9110 §13).

A tag identifies the version of the row, not of its representation: a release that adds a
field to the response does not change it.
"""

from collections.abc import Container
from typing import Annotated, Any

from fastapi import Depends, Header

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


def etag(version: int) -> str:
    return f'"{version}"'


class Versions(Container[int]):
    """The versions listed in If-Match or If-None-Match, by weak comparison.

    RFC 9110 asks for the strong one in If-Match. But a proxy that compresses a response,
    such as nginx, makes its tag weak, and its client could then never change the row.
    Since a tag is the version of the row, a weak one is as good.
    """

    def __init__(self, header: str) -> None:
        self._tags = {tag.strip().removeprefix("W/") for tag in header.split(",")}

    def __contains__(self, version: object) -> bool:
        return self._tags == {"*"} or f'"{version}"' in self._tags


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
IfNoneMatch = Annotated[
    str | None,
    Header(
        alias="If-None-Match",
        description="ETags of known versions: 304 if one of them is still current.",
    ),
]


def not_modified(if_none_match: str | None, version: int) -> bool:
    """Return whether the client already has this version."""
    return if_none_match is not None and version in Versions(if_none_match)
