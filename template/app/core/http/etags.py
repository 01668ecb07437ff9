"""Versions of a resource in HTTP: entity tags and preconditions (RFC 9110 §13).

A tag is of the row, not of its form: a release that shows more of it does not change it.
"""

from collections.abc import Container
from typing import Annotated, Any

from fastapi import Depends, Header

# For `responses=`: what the answers of a route say about the version that they show.
_HEADER = {"description": "The version shown.", "schema": {"type": "string"}}
_LOCATION = {"description": "The path of what is new.", "schema": {"type": "string"}}
ETAG: dict[str, Any] = {"headers": {"ETag": _HEADER}}
ETAG_AND_LOCATION: dict[str, Any] = {
    "headers": {"ETag": _HEADER, "Location": _LOCATION}
}
NOT_MODIFIED: dict[str, Any] = {"description": "Not Modified", **ETAG}


def etag(version: int) -> str:
    return f'"{version}"'


class Versions(Container[int]):
    """The versions that an If-Match lists: compared strongly, so a weak tag is none."""

    def __init__(self, header: str) -> None:
        self._tags = {tag.strip() for tag in header.split(",")}

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


# Required: without it the answer is 428 (RFC 6585 §3), of `app.core.errors`.
IfMatch = Annotated[Versions, Depends(_if_match)]
IfNoneMatch = Annotated[
    str | None,
    Header(
        alias="If-None-Match",
        description="ETags of known versions: 304 if one is still the newest.",
    ),
]


def is_known(if_none_match: str | None, version: int) -> bool:
    """Return whether the client has this version already: compared weakly."""
    return if_none_match is not None and version in Versions(
        if_none_match.replace("W/", "")
    )
