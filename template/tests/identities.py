"""Access tokens for the tests, from an issuer whose key is only in memory."""

from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.core.oidc.access_tokens import AccessTokens
from app.core.oidc.local_issuer import LocalIssuer, local_access_tokens
from app.main import app

ISSUER = LocalIssuer(Ed25519PrivateKey.generate)


def accepted_tokens(**options: Any) -> AccessTokens:
    """Return what verifies the tokens of the tests, with other options than usual."""
    return local_access_tokens(ISSUER, **{"leeway": 0, **options})


def bearer(subject: str, *permissions: str, **claims: Any) -> dict[str, str]:
    """Return the header of a sender who has only these permissions."""
    return {"Authorization": f"Bearer {ISSUER.token(subject, *permissions, **claims)}"}


@cache
def permissions_of_the_service() -> list[str]:
    """Return all permissions that the OpenAPI document of the service names."""
    required = {
        permission
        for path in app.openapi()["paths"].values()
        for operation in path.values()
        for scheme in operation.get("security", ())
        for permissions in scheme.values()
        for permission in permissions
    }
    return sorted(required)
