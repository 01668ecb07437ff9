"""Access tokens: which ones are accepted, and who sends them (RFC 9068, RFC 8725)."""

import json
from base64 import urlsafe_b64decode
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from time import time
from types import MappingProxyType
from typing import Any

import jwt

from app.core.oidc.signing_keys import Keys, UnknownKeyError

MAX_LENGTH = 16_384
MAX_REMEMBERED = 2_000
LATEST_EXPIRY = 253_402_300_800  # The year 10000: what is later may not fit a float.
# RFC 9068 asks for the first, which most issuers send only if told to.
TYPES = {"at+jwt", "application/at+jwt", "jwt"}
# What other tokens of the same issuers call themselves, and the claims of ID tokens. A
# logout token that has no name has `events`.
OTHER_TOKENS = {"id", "refresh", "offline", "logout"}
ID_TOKEN_CLAIMS = ("nonce", "at_hash", "c_hash", "s_hash")


@dataclass(frozen=True, slots=True)
class Principal:
    """The sender of a request: a person, or a program on its own behalf.

    `subject` is what the issuer calls it, `client` is the application that the token was
    issued to, if the token says so, and `claims` is all that the token says. Requests with
    the same token share it, so a list or a dictionary in its claims must not be changed.
    """

    subject: str
    client: str | None
    permissions: frozenset[str]
    # Personal data: not where a principal is printed or logged.
    claims: Mapping[str, Any] = field(repr=False)


# The id of the key, the key, what the token says, and when it expires.
Remembered = tuple[str, jwt.PyJWK, Principal, int]


class InvalidTokenError(Exception):
    """A token that is not accepted: its text is for the log, and `hint` for the client."""

    def __init__(self, reason: str, hint: str = "is not valid here") -> None:
        super().__init__(reason)
        self.hint = hint


class AccessTokens:
    """Verifies access tokens, without a request to the issuer if their key is known."""

    def __init__(
        self,
        keys: Keys,
        *,
        issuer: str,
        audiences: Sequence[str],
        clients: Sequence[str],
        algorithms: Sequence[str],
        permissions_claim: str,
        leeway: float,
    ) -> None:
        self.keys = keys
        self._issuer, self._audiences, self._clients = issuer, audiences, clients
        self._algorithms, self._leeway = algorithms, leeway
        self._permissions_claim = permissions_claim
        self._remembered: OrderedDict[bytes, Remembered] = OrderedDict()

    async def verify(self, token: str) -> Principal:
        """Return who sends a token; raise InvalidTokenError or KeysUnavailableError."""
        if len(token) > MAX_LENGTH:
            raise InvalidTokenError("too long")
        digest = sha256(token.encode()).digest()
        if remembered := self._remembered.get(digest):
            kid, verified_with, principal, expires = remembered
            if expires + self._leeway <= time():
                raise InvalidTokenError("expired", "has expired")
            # By now, the issuer may have dropped the key, or have another with its id.
            if await self._key(kid) is verified_with:
                return principal
        kid = self._kid(token)
        key = await self._key(kid)
        claims = self._decode(token, key)
        principal = self._principal(claims)
        expires = min(int(claims["exp"]), LATEST_EXPIRY)
        self._remembered[digest] = kid, key, principal, expires
        if len(self._remembered) > MAX_REMEMBERED:
            self._remembered.popitem(last=False)
        return principal

    def _kid(self, token: str) -> str:
        """Return the id of the key of a token whose header is that of an access token."""
        header = _header(token.partition(".")[0])
        if header.get("alg") not in self._algorithms:
            raise InvalidTokenError("alg is not one of AUTH_ALGORITHMS")
        if str(header.get("typ", "jwt")).lower() not in TYPES:
            raise InvalidTokenError("typ is not that of an access token")
        kid = header.get("kid")
        if not isinstance(kid, str):
            raise InvalidTokenError("no kid")
        return kid

    async def _key(self, kid: str) -> jwt.PyJWK:
        try:
            return await self.keys.get(kid)
        except UnknownKeyError:
            raise InvalidTokenError("the issuer has no such key") from None

    def _decode(self, token: str, key: jwt.PyJWK) -> dict[str, Any]:
        try:
            return jwt.decode(
                token,
                key,
                algorithms=self._algorithms,
                issuer=self._issuer,
                audience=self._audiences or None,
                leeway=self._leeway,
                options={
                    "require": ["exp", "iat", "sub"],
                    "verify_aud": bool(self._audiences),
                },
            )
        except jwt.ExpiredSignatureError:
            raise InvalidTokenError("expired", "has expired") from None
        except Exception as error:  # noqa: BLE001 - Whatever it is, a bad token is a 401.
            # Only the type: the text could repeat what the token says.
            raise InvalidTokenError(type(error).__name__) from None

    def _principal(self, claims: dict[str, Any]) -> Principal:
        kinds = {str(claims.get(name, "")).lower() for name in ("typ", "token_use")}
        is_access = bool(kinds & {"bearer", "access"})
        if (
            kinds & OTHER_TOKENS
            or "events" in claims
            or (not is_access and any(name in claims for name in ID_TOKEN_CLAIMS))
        ):
            raise InvalidTokenError("not an access token")
        client = _client(claims)
        if self._clients and client not in self._clients:
            raise InvalidTokenError("its client is not one of AUTH_CLIENTS")
        subject = claims["sub"]
        # It may be stored, and a surrogate or a NUL cannot be.
        if not subject.strip() or not subject.isprintable():
            raise InvalidTokenError("no usable sub")
        return Principal(
            subject,
            client,
            _permissions(claims, self._permissions_claim),
            MappingProxyType(claims),
        )


def _client(claims: dict[str, Any]) -> str | None:
    # Each issuer has its own name for it.
    named = (claims.get(name) for name in ("client_id", "azp", "appid"))
    return next((name for name in named if name and isinstance(name, str)), None)


def _permissions(claims: dict[str, Any], name: str) -> frozenset[str]:
    """Return what one claim holds: a list, or words with spaces between them.

    `name` is that of the claim, or the path to it with dots. Never two claims: a scope
    says what an application may do for anybody, a role what a person may do, and with both
    an application could give people permissions that they lack.
    """
    value: Any = claims.get(name)
    if value is None:
        value = claims
        for part in name.split("."):
            value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, str):
        value = value.split()
    return frozenset(map(str, value)) if isinstance(value, list) else frozenset()


def _header(text: str) -> dict[str, Any]:
    try:
        header = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise InvalidTokenError("not a JWT")
    return header
