"""How the OpenAPI document describes the access tokens and their permissions."""

from typing import Any

from fastapi import FastAPI
from fastapi.encoders import jsonable_encoder
from fastapi.openapi.models import HTTPBearer

from app.core.http.openapi import extend_document

SCHEME_NAME = "token"
# Not OpenID Connect: the URLs of an issuer would differ between deployments.
SCHEME = HTTPBearer(bearerFormat="JWT")


def document_permissions(app: FastAPI) -> None:
    """Document the scheme of the tokens, and for each operation all it requires at once."""
    extend_document(app, _describe)


def _describe(document: dict[str, Any]) -> None:
    protected = [
        operation
        for path in document["paths"].values()
        for operation in path.values()
        if any(SCHEME_NAME in each for each in operation.get("security", ()))
    ]
    for operation in protected:
        operation["security"] = _together(operation["security"])
    if protected:
        components = document.setdefault("components", {})
        schemes = components.setdefault("securitySchemes", {})
        schemes[SCHEME_NAME] = jsonable_encoder(
            SCHEME, by_alias=True, exclude_none=True
        )


def _together(security: list[dict[str, list[str]]]) -> list[dict[str, list[str]]]:
    """Return the requirements of an operation, with the token in each of them.

    Apart from each other they would be alternatives, by the OpenAPI specification.
    """
    tokens = [each.get(SCHEME_NAME, ()) for each in security]
    token = {SCHEME_NAME: sorted({name for each in tokens for name in each})}
    others = [each | token for each in security if each.keys() - token.keys()]
    return others or [token]
