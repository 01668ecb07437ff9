"""The public keys of an issuer: fetched rarely, and never for a key that is known."""

import asyncio
import json
import logging
from collections.abc import Sequence
from functools import lru_cache
from time import monotonic
from typing import Any, Protocol

from httpx2 import AsyncClient
from jwt import PyJWK, PyJWTError

FRESH_SECONDS = 600  # Then they are fetched again, while the known ones stay in use.
STALE_SECONDS = 86_400  # How long they stay in use while the issuer does not respond.
# Tokens with unknown keys cause at most one attempt per pause, after two in a row: a
# key that appears right after an attempt is found at once.
PAUSE_SECONDS = 10
FETCH_SECONDS = 4  # For one attempt: the metadata and the keys.
MAX_BYTES = 500_000

logger = logging.getLogger(__name__)


class UnknownKeyError(Exception):
    """The issuer has no key with this id."""


class KeysUnavailableError(Exception):
    """The issuer does not respond, so whether it has this key is unknown."""


class Keys(Protocol):
    """Finds the public keys of an issuer."""

    async def load(self) -> str:
        """Return why no key is known yet, or an empty string."""
        ...

    async def get(self, kid: str) -> PyJWK:
        """Return a key; raise UnknownKeyError or KeysUnavailableError."""
        ...


class SigningKeys:
    """Fetches the keys of an issuer over HTTPS.

    While the issuer is down, only tokens that are signed with a new key suffer from it.
    """

    def __init__(self, issuer: str, url: str | None, algorithms: Sequence[str]) -> None:
        self._issuer, self._url, self._algorithms = issuer, url, algorithms
        self._keys: dict[str, PyJWK] = {}
        self._fetching: asyncio.Task[None] | None = None
        self._fresh_until = self._good_until = 0.0
        # When attempts would be exactly one pause apart; two may be ahead of it.
        self._due = 0.0
        self._failure = "no attempt was made yet"

    async def load(self) -> str:
        """Return why no key is known yet, or an empty string."""
        if not self._keys:
            await self._refresh()
        return "" if self._keys else self._failure

    async def get(self, kid: str) -> PyJWK:
        """Return a key; wait for the issuer only if the key is unknown or too old."""
        now = monotonic()
        if kid not in self._keys or now > self._good_until:
            await self._refresh()
            if kid not in self._keys and not self._failure:
                raise UnknownKeyError
            if kid not in self._keys or monotonic() > self._good_until:
                raise KeysUnavailableError
        elif now > self._fresh_until:
            self._start_to_fetch()
        return self._keys[kid]

    async def _refresh(self) -> None:
        """Fetch the keys, once for all who wait, unless it was tried just now."""
        self._start_to_fetch()
        if self._fetching is not None:
            # A client that disconnects does not cancel it for the others.
            await asyncio.shield(self._fetching)

    def _start_to_fetch(self) -> None:
        now = monotonic()
        if self._fetching is None and now >= self._due - PAUSE_SECONDS:
            self._due = max(self._due, now) + PAUSE_SECONDS
            self._fetching = asyncio.create_task(self._try_to_fetch())

    async def _try_to_fetch(self) -> None:
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                self._keys = await self._fetch()
        except Exception as error:  # noqa: BLE001 - Requests go on, whatever happened.
            self._failure = repr(error)
            logger.warning("signing keys not fetched", extra={"reason": self._failure})
        else:
            self._failure = ""
            self._fresh_until = monotonic() + FRESH_SECONDS
            self._good_until = monotonic() + STALE_SECONDS
        finally:
            self._fetching = None

    async def _fetch(self) -> dict[str, PyJWK]:
        # In a thread: it reads the certificates of the system, which takes up to 0.1 s.
        async with await asyncio.to_thread(_create_client) as client:
            url = self._url or await self._discover(client)
            # In clear text, anybody on the way could put in a key of their own.
            if self._issuer.startswith("https://") and not url.startswith("https://"):
                raise ValueError(f"the keys are not behind TLS: {url!r}")
            document = await _get(client, url)
        keys = {
            str(key.key_id): key
            for jwk in document.get("keys", ())
            if (key := _signing_key(json.dumps(jwk, sort_keys=True)))
            and key.algorithm_name in self._algorithms
        }
        if not keys:
            raise ValueError(f"{url} has no usable key")
        return keys

    async def _discover(self, client: AsyncClient) -> str:
        base = self._issuer.rstrip("/")
        metadata = await _get(client, f"{base}/.well-known/openid-configuration")
        if metadata.get("issuer") != self._issuer:
            raise ValueError(f"its metadata is that of {metadata.get('issuer')!r}")
        return str(metadata.get("jwks_uri"))


def _create_client() -> AsyncClient:
    return AsyncClient(timeout=FETCH_SECONDS)


# One object for one key, however often it is fetched: what was verified with it stays so.
@lru_cache(maxsize=100)
def _signing_key(text: str) -> PyJWK | None:
    """Return a key that is long enough and may verify signatures, or None."""
    try:
        key = PyJWK(json.loads(text))
        is_short = key.Algorithm.check_key_length(key.key)
    except (PyJWTError, AttributeError, TypeError, ValueError):
        return None
    is_for_signatures = key.public_key_use in {None, "sig"}
    return key if key.key_id and is_for_signatures and not is_short else None


async def _get(client: AsyncClient, url: str) -> dict[str, Any]:
    async with client.stream("GET", url) as response:
        if response.status_code != 200:
            raise ValueError(f"{url} responds with {response.status_code}")
        body = b""
        async for part in response.aiter_bytes():
            body += part
            if len(body) > MAX_BYTES:
                raise ValueError(f"{url} responds with more than {MAX_BYTES} bytes")
    document = json.loads(body)
    if isinstance(document, dict):
        return document
    raise ValueError(f"{url} does not respond with an object")
