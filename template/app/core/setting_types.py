"""The types of settings that are lists, and of the log level.

A list is separated by commas, or is a JSON array. It rejects a value that would never match
a request, such as a host name with a port, or with the quote or comment that some programs
read as part of the value.
"""

import json
import re
from ipaddress import ip_network
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints
from pydantic_settings import NoDecode

HOST = re.compile(
    r"\* | (\*\.)? [a-z0-9_] ([a-z0-9_.-]*[a-z0-9_])? | \[[0-9a-f:.]+\]", re.VERBOSE
)
ORIGIN = re.compile(
    r"\* | null | [a-z][a-z0-9+.-]* :// ([a-z0-9_.-]+ | \[[0-9a-f:.]+\]) (:[0-9]+)?",
    re.VERBOSE,
)
DEFAULT_PORT = re.compile(r"(?<=^http:)(.*):80$|(?<=^https:)(.*):443$")


def _split(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        try:
            return json.loads(value)
        except ValueError:
            raise ValueError(
                "is neither separated by commas nor a JSON array"
            ) from None
    return [name for name in value.split(",") if name.strip()]


def _host(name: str) -> str:
    if not HOST.fullmatch(name.lower()):
        raise ValueError(
            f"{name!r} is not a host name such as api.example.com or *.example.com"
        )
    return name.lower()


def _origin(name: str) -> str:
    origin = name.lower().removesuffix("/")
    if not ORIGIN.fullmatch(origin):
        raise ValueError(f"{name!r} is not an origin such as https://www.example.com")
    # Browsers leave it out.
    return DEFAULT_PORT.sub(r"\1\2", origin)


def _network(name: str) -> str:
    if name != "*":
        ip_network(name)
    return name


def _all_or_some(names: list[str]) -> list[str]:
    # In a longer list, uvicorn treats the asterisk as a name.
    return ["*"] if "*" in names else names


def _upper(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else value


Name = Annotated[str, StringConstraints(strip_whitespace=True)]
Names = Annotated[list[Name], NoDecode, BeforeValidator(_split)]
Hosts = Annotated[
    list[Annotated[Name, AfterValidator(_host)]],
    Field(min_length=1),
    NoDecode,
    BeforeValidator(_split),
]
Origins = Annotated[
    list[Annotated[Name, AfterValidator(_origin)]], NoDecode, BeforeValidator(_split)
]
Networks = Annotated[
    list[Annotated[Name, AfterValidator(_network)]],
    AfterValidator(_all_or_some),
    NoDecode,
    BeforeValidator(_split),
]
LogLevel = Annotated[
    Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(_upper)
]
