"""Access tokens as well-known issuers make them, and what they permit."""

from typing import Any

import pytest

from app.core.oidc.access_tokens import InvalidTokenError
from tests.identities import ISSUER, accepted_tokens

KEYCLOAK = {
    "iss": "https://id.example/realms/acme",
    "aud": ["lamps", "account"],
    "typ": "Bearer",
    "azp": "web",
    "client_id": None,
    "scope": "openid profile",
    "resource_access": {"lamps": {"roles": ["lamps:read"]}},
    "realm_access": {"roles": ["offline_access"]},
}
ENTRA = {
    "iss": "https://login.microsoftonline.com/7f0c/v2.0",
    "aud": "1b2c",
    "ver": "2.0",
    "azp": "9d8e",
    "client_id": None,
    "scope": None,
    "tid": "7f0c",
    "oid": "o",
}
AUTH0 = {
    "iss": "https://acme.eu.auth0.com/",
    "aud": ["https://api.acme.example", "https://acme.eu.auth0.com/userinfo"],
    "azp": "spa",
    "client_id": None,
    "scope": "openid lamps:read lamps:write",
    "permissions": ["lamps:read"],
}
COGNITO = {
    "iss": "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_x",
    "aud": None,
    "client_id": "app1",
    "token_use": "access",
    "version": 2,
    "scope": "lamps/read",
}

CASES: dict[str, tuple[dict[str, Any], dict[str, Any], str, set[str] | None]] = {
    "keycloak": (
        KEYCLOAK,
        {"audiences": ["lamps"]},
        "resource_access.lamps.roles",
        {"lamps:read"},
    ),
    "keycloak, no audience mapper": (
        KEYCLOAK | {"aud": "account"},
        {"audiences": ["lamps"]},
        "scope",
        None,
    ),
    "keycloak, no mapper at all": (
        KEYCLOAK | {"aud": None},
        {"audiences": ["lamps"]},
        "scope",
        None,
    ),
    "keycloak, nonce mapper": (
        KEYCLOAK | {"nonce": "n"},
        {"audiences": ["lamps"]},
        "scope",
        {"openid", "profile"},
    ),
    "keycloak, ID token": (
        KEYCLOAK | {"typ": "ID", "aud": "lamps"},
        {"audiences": ["lamps"]},
        "scope",
        None,
    ),
    "entra, a person": (
        ENTRA | {"scp": "access_as_user", "roles": ["lamps:read"]},
        {"audiences": ["1b2c"]},
        "roles",
        {"lamps:read"},
    ),
    "entra, a program nobody gave a role": (
        ENTRA,
        {"audiences": ["1b2c"]},
        "roles",
        set(),
    ),
    "entra, a v1.0 token": (
        ENTRA | {"iss": "https://sts.windows.net/7f0c/", "ver": "1.0"},
        {"audiences": ["1b2c"]},
        "roles",
        None,
    ),
    "entra, another tenant": (
        ENTRA | {"iss": "https://login.microsoftonline.com/aaaa/v2.0"},
        {"audiences": ["1b2c"]},
        "roles",
        None,
    ),
    "entra, ID token of the one registration for both": (
        ENTRA | {"nonce": "n"},
        {"audiences": ["1b2c"]},
        "roles",
        None,
    ),
    "auth0": (
        AUTH0,
        {"audiences": ["https://api.acme.example"]},
        "permissions",
        {"lamps:read"},
    ),
    "auth0, RBAC off": (
        AUTH0 | {"permissions": None},
        {"audiences": ["https://api.acme.example"]},
        "permissions",
        set(),
    ),
    "auth0, issuer without the slash": (
        AUTH0 | {"iss": "https://acme.eu.auth0.com"},
        {"audiences": ["https://api.acme.example"]},
        "permissions",
        None,
    ),
    "cognito": (
        COGNITO,
        {"audiences": [], "clients": ["app1"]},
        "scope",
        {"lamps/read"},
    ),
    "cognito, another app of the pool": (
        COGNITO | {"client_id": "app2"},
        {"audiences": [], "clients": ["app1"]},
        "scope",
        None,
    ),
    "cognito, ID token": (
        COGNITO | {"token_use": "id", "aud": "app1", "client_id": None},
        {"audiences": [], "clients": ["app1"]},
        "scope",
        None,
    ),
}
ISSUERS: dict[str, Any] = {
    "keycloak": KEYCLOAK,
    "entra": ENTRA,
    "auth0": AUTH0,
    "cognito": COGNITO,
}


@pytest.mark.parametrize("name", CASES)
async def test_what_the_token_of_an_issuer_permits(name: str) -> None:
    claims, options, claim, permissions = CASES[name]
    issuer = ISSUERS[name.partition(",")[0]]["iss"]
    tokens = accepted_tokens(issuer=issuer, permissions_claim=claim, **options)
    token = ISSUER.token("someone", **claims)

    if permissions is None:
        with pytest.raises(InvalidTokenError):
            await tokens.verify(token)
    else:
        assert (await tokens.verify(token)).permissions == permissions


@pytest.mark.parametrize(
    ("claims", "client"),
    [
        ({"client_id": "a", "azp": "b"}, "a"),
        ({"client_id": None, "azp": "b"}, "b"),
        ({"client_id": None, "appid": "c"}, "c"),
        ({"client_id": None}, None),
    ],
)
async def test_each_issuer_has_its_own_name_for_the_client(
    claims: dict[str, Any], client: str | None
) -> None:
    principal = await accepted_tokens().verify(ISSUER.token("someone", **claims))

    assert principal.client == client


@pytest.mark.parametrize(
    ("claims", "claim", "permissions"),
    [
        ({"https://acme.example/roles": ["a"]}, "https://acme.example/roles", {"a"}),
        ({"scope": "a", "roles": ["b"]}, "roles", {"b"}),
        ({"scope": "a"}, "roles", set()),
        ({"roles": {"a": 1}}, "roles", set()),
        ({"roles": 7}, "roles.a", set()),
        ({"roles": ["a", 7]}, "roles", {"a", "7"}),
        ({"scope": " a  b "}, "scope", {"a", "b"}),
    ],
)
async def test_the_permissions_are_those_of_one_claim(
    claims: dict[str, Any], claim: str, permissions: set[str]
) -> None:
    tokens = accepted_tokens(permissions_claim=claim)

    principal = await tokens.verify(ISSUER.token("someone", **claims))

    assert principal.permissions == permissions
