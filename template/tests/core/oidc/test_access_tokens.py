"""Which access tokens are accepted: each of the others is signed, and wrong in one thing."""

import json
from base64 import urlsafe_b64encode
from collections.abc import AsyncGenerator
from time import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import FastAPI
from httpx2 import AsyncClient

from app.core.application import set_up
from app.core.auth import ProtectedRouter
from app.core.oidc import access_tokens
from app.core.oidc.access_tokens import InvalidTokenError
from app.core.oidc.local_issuer import LocalIssuer
from app.core.oidc.signing_keys import UnknownKeyError
from tests.conftest import client_of
from tests.identities import ISSUER, accepted_tokens, bearer

NOW = int(time())
GOOD = ISSUER.token("ann", "lamps:read")
CLAIMS = jwt.decode(GOOD, options={"verify_signature": False})
HEADER = jwt.get_unverified_header(GOOD)

lamps = ProtectedRouter(prefix="/lamps", requires="lamps:read")


@lamps.get("")
async def list_lamps() -> int:
    return 1


app = FastAPI()
app.include_router(lamps)
set_up(app)


@pytest.fixture
async def client() -> AsyncGenerator[AsyncClient]:
    async with client_of(app) as client:
        yield client


def encoded(content: bytes) -> str:
    return urlsafe_b64encode(content).decode().rstrip("=")


def signed(header: object, claims: object) -> str:
    """Return a token that is well signed, whatever it holds."""
    parts = (json.dumps(part).encode() for part in (header, claims))
    text = ".".join(map(encoded, parts))
    return f"{text}.{encoded(ISSUER.key.sign(text.encode()))}"


def changed(before: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    after = {**before, **changes}
    return {name: value for name, value in after.items() if value is not None}


def headed(**changes: Any) -> str:
    """Return a token with another header; None leaves a field out."""
    return signed(changed(HEADER, changes), CLAIMS)


def saying(**changes: Any) -> str:
    """Return a token with other claims; None leaves a claim out."""
    return signed(HEADER, changed(CLAIMS, changes))


def with_secret(algorithm: str) -> str:
    """Return a token whose secret is the public key, which everybody knows."""
    public = ISSUER.key.public_key().public_bytes_raw()
    headers = {"kid": "local", "typ": "at+jwt"}
    return jwt.encode(CLAIMS, encoded(public) * 2, algorithm, headers)


REFUSED = {
    "a word": "x",
    "two parts": "a.b",
    "four parts": f"{GOOD}.x",
    "no signature": GOOD.rpartition(".")[0] + ".",
    "half a signature": GOOD[:-40],
    "another payload": f"{GOOD.split('.')[0]}.e30.{GOOD.split('.')[2]}",
    "not ASCII": f"{GOOD}é",
    "too long": saying(pad="a" * 17_000),
    "a space at the end": f"{GOOD} x",
    "a header that is a list": signed([], CLAIMS),
    "a header that is nested deeply": encoded(b"[" * 9_000) + ".e30.e30",
    "a payload that is a list": signed(HEADER, []),
    "alg none": headed(alg="none").rpartition(".")[0] + ".",
    "alg None": headed(alg="None").rpartition(".")[0] + ".",
    "no alg": headed(alg=None),
    "alg that is a list": headed(alg=["EdDSA"]),
    "alg of a shared secret": with_secret("HS256"),
    "alg of a longer shared secret": with_secret("HS512"),
    "alg of another kind of key": headed(alg="ES256"),
    "alg in lower case": headed(alg="eddsa"),
    "no kid": headed(kid=None),
    "kid that is a number": headed(kid=1),
    "critical extension that is unknown": headed(crit=["x"], x=1),
    "typ of an ID token": headed(typ="id_token+jwt"),
    "typ of a logout token": headed(typ="logout+jwt"),
    "typ that is a list": headed(typ=["at+jwt"]),
    "signature of another issuer": LocalIssuer(Ed25519PrivateKey.generate).token("ann"),
    "expired": saying(exp=NOW - 1),
    "expires now": saying(exp=NOW),
    "never expires": saying(exp=None),
    "expires at a time that is a word": saying(exp="soon"),
    "expires at infinity": saying(exp=float("inf")),
    "valid tomorrow": saying(nbf=NOW + 86_400),
    "issued tomorrow": saying(iat=NOW + 86_400),
    "never issued": saying(iat=None),
    "another audience": saying(aud="other"),
    "no audience": saying(aud=None),
    "an empty list of audiences": saying(aud=[]),
    "an audience that is longer": saying(aud="local.example"),
    "another issuer": saying(iss="https://local-issuer.invalid/"),
    "no issuer": saying(iss=None),
    "a list of issuers": saying(iss=["https://local-issuer.invalid"]),
    "no subject": saying(sub=None),
    "an empty subject": saying(sub=""),
    "a subject of blanks": saying(sub=" "),
    "a subject that is a number": saying(sub=7),
    "a subject that cannot be stored": saying(sub="\ud800"),
    "an ID token, by its nonce": saying(nonce="n"),
    "an ID token, by its at_hash": saying(at_hash="h"),
    "an ID token, by its c_hash": saying(c_hash="h"),
    "an ID token, by its s_hash": saying(s_hash="h"),
    "an ID token of Cognito": saying(token_use="id"),
    "an ID token of Keycloak": saying(typ="ID"),
    "a refresh token of Keycloak": saying(typ="Refresh"),
    "an offline token of Keycloak": saying(typ="Offline"),
    "a logout token of Keycloak": saying(typ="Logout"),
    "a logout token, by its events": saying(events={}),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_a_token_that_is_wrong_in_one_thing_is_refused(
    client: AsyncClient, name: str
) -> None:
    value = f"Bearer {REFUSED[name]}".encode()

    for _ in range(2):
        response = await client.get("/lamps", headers={b"Authorization": value})

        hint = "has expired" if name.startswith("expire") and "at" not in name else ""
        assert response.status_code == 401
        assert response.headers["content-type"] == "application/problem+json"
        assert response.headers["www-authenticate"] == (
            'Bearer error="invalid_token", '
            f'error_description="The access token {hint or "is not valid here"}"'
        )
        assert REFUSED[name] not in response.text


async def test_a_token_that_cannot_even_be_decoded_is_refused(
    client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RecursionError

    monkeypatch.setattr(jwt, "decode", fail)

    response = await client.get("/lamps", headers=bearer("bob", "lamps:read"))

    assert response.status_code == 401


ACCEPTED = {
    "as PyJWT writes it": GOOD,
    "with spaces": headed(),
    "no typ": headed(typ=None),
    "typ JWT": headed(typ="JWT"),
    "a long typ": headed(typ="application/at+jwt"),
    "an unknown field in its header": headed(x=1),
    "several audiences": saying(aud=["other", "local"]),
    "expires at a number in quotes": saying(exp=str(NOW + 3600)),
    "expires later than a float can say": saying(exp=10**400),
    "valid since a second": saying(nbf=NOW - 1),
    "no id": saying(jti=None),
    "a nonce, but Keycloak's typ": saying(nonce="n", typ="Bearer"),
    "a nonce, but Cognito's token_use": saying(nonce="n", token_use="access"),
}


@pytest.mark.parametrize("name", ACCEPTED)
async def test_a_token_that_is_written_another_way_is_accepted(
    client: AsyncClient, name: str
) -> None:
    headers = {"Authorization": f"Bearer {ACCEPTED[name]}"}

    for _ in range(2):
        assert (await client.get("/lamps", headers=headers)).status_code == 200


async def test_a_token_that_was_accepted_expires_too(
    client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = bearer("ann", "lamps:read", exp=NOW + 3600)
    before = await client.get("/lamps", headers=headers)
    monkeypatch.setattr(access_tokens, "time", lambda: NOW + 3600)

    after = await client.get("/lamps", headers=headers)

    assert (before.status_code, after.status_code) == (200, 401)
    assert "has expired" in after.headers["www-authenticate"]


async def test_a_token_may_expire_later_than_a_float_can_say() -> None:
    tokens, token = accepted_tokens(leeway=30.0), saying(exp=10**400)

    for _ in range(2):
        assert (await tokens.verify(token)).subject == "ann"


async def test_clocks_may_differ_by_the_leeway(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens, now = accepted_tokens(leeway=300), int(time())
    late, early = saying(exp=now - 5), saying(nbf=now + 200, iat=now + 200)

    assert (await tokens.verify(late)).subject == "ann"
    assert (await tokens.verify(early)).subject == "ann"
    monkeypatch.setattr(access_tokens, "time", lambda: now + 294)
    assert (await tokens.verify(late)).subject == "ann"
    monkeypatch.setattr(access_tokens, "time", lambda: now + 295)
    with pytest.raises(InvalidTokenError):
        await tokens.verify(late)
    with pytest.raises(InvalidTokenError):
        await tokens.verify(saying(exp=now - 400))


class Keys(LocalIssuer):
    """An issuer whose key may be gone, or another one."""

    async def get(self, kid: str) -> jwt.PyJWK:
        if kid not in self.known:
            raise UnknownKeyError
        return self.known[kid]

    def __init__(self) -> None:
        super().__init__(Ed25519PrivateKey.generate)
        self.known = {"local": self._public_key}


@pytest.mark.parametrize(
    "name", ["alg of a shared secret", "typ of an ID token", "no kid", "a word"]
)
async def test_the_header_is_judged_before_a_key_is_looked_for(name: str) -> None:
    tokens, keys = accepted_tokens(), Keys()
    keys.known = {}
    tokens.keys = keys

    with pytest.raises(InvalidTokenError) as error:
        await tokens.verify(REFUSED[name])

    assert str(error.value) != "the issuer has no such key"


async def test_a_token_that_was_accepted_goes_with_its_key() -> None:
    keys, other = Keys(), Keys()
    tokens = accepted_tokens()
    tokens.keys = keys
    token = keys.token("ann")
    await tokens.verify(token)

    keys.known = other.known
    with pytest.raises(InvalidTokenError):
        await tokens.verify(token)
    keys.known = {}
    with pytest.raises(InvalidTokenError):
        await tokens.verify(token)


async def test_a_token_is_verified_once_as_long_as_it_is_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(access_tokens, "MAX_REMEMBERED", 2)
    verified = 0
    decode = jwt.decode

    def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal verified
        verified += 1
        return decode(*arguments, **options)

    monkeypatch.setattr(jwt, "decode", counted)
    tokens = accepted_tokens()
    first, second, third = (ISSUER.token(name) for name in ("ann", "bob", "cid"))
    for token in (first, first, second, second, third, third, third, first):
        await tokens.verify(token)

    assert verified == 4


async def test_claims_cannot_be_changed() -> None:
    principal = await accepted_tokens().verify(ISSUER.token("ann", team="blue"))

    assert principal.claims["team"] == "blue"
    with pytest.raises(TypeError):
        principal.claims["team"] = "red"  # ty: ignore[invalid-assignment]
