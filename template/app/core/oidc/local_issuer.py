"""An issuer with a key of its own, for development and for tests."""

import os
import uuid
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from time import time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from jwt.algorithms import OKPAlgorithm

from app.core.oidc.access_tokens import AccessTokens

PATH = Path(__file__).parents[3] / ".local" / "issuer.pem"
ISSUER = "https://local-issuer.invalid"
AUDIENCE = "local"
ALGORITHM = "EdDSA"
KID = "local"


def stored_key() -> Ed25519PrivateKey:
    """Return the private key of this checkout, which is made when it is first needed."""
    if not PATH.exists():
        PATH.parent.mkdir(exist_ok=True)
        new = PATH.with_name(f"{PATH.name}.{os.getpid()}")
        private = Ed25519PrivateKey.generate().private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
        new.unlink(missing_ok=True)
        with os.fdopen(
            os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb"
        ) as file:
            file.write(private)
        # If several processes make one at the same time, the first one's stays.
        with suppress(FileExistsError):
            os.link(new, PATH)
        new.unlink()
    key = load_pem_private_key(PATH.read_bytes(), None)
    assert isinstance(key, Ed25519PrivateKey)
    return key


class LocalIssuer:
    """Issues tokens, and has the key that verifies them."""

    def __init__(self, get_key: Callable[[], Ed25519PrivateKey] = stored_key) -> None:
        self._get_key = get_key

    @cached_property
    def key(self) -> Ed25519PrivateKey:
        """The private key."""
        return self._get_key()

    @cached_property
    def _public_key(self) -> jwt.PyJWK:
        jwk = OKPAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return jwt.PyJWK({**jwk, "kid": KID, "alg": ALGORITHM})

    async def load(self) -> str:
        """Return an empty string: nothing has to be fetched."""
        return ""

    async def get(self, kid: str) -> jwt.PyJWK:
        """Return the public key."""
        return self._public_key

    def token(
        self, subject: str, *permissions: str, seconds: float = 3600, **claims: Any
    ) -> str:
        """Return an access token; a claim that is None is left out."""
        now = int(time())
        content = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": subject,
            "client_id": "local",
            "iat": now,
            "exp": now + int(seconds),
            "jti": uuid.uuid4().hex,
            "scope": " ".join(permissions),
            **claims,
        }
        content = {name: value for name, value in content.items() if value is not None}
        headers = {"kid": KID, "typ": "at+jwt"}
        return jwt.encode(content, self.key, ALGORITHM, headers)


def local_access_tokens(keys: LocalIssuer, **options: Any) -> AccessTokens:
    """Return what verifies the tokens of a local issuer, with other options than usual."""
    usual: dict[str, Any] = {
        "issuer": ISSUER,
        "audiences": [AUDIENCE],
        "clients": [],
        "algorithms": [ALGORITHM],
        "permissions_claim": "scope",
    }
    return AccessTokens(keys, **{**usual, **options})
