"""When an issuer is asked for its keys, and what happens while it does not respond."""

import asyncio
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from httpx2 import AsyncClient, MockTransport, Request, Response
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from app.core.oidc import signing_keys
from app.core.oidc.signing_keys import (
    FRESH_SECONDS,
    PAUSE_SECONDS,
    STALE_SECONDS,
    KeysUnavailableError,
    SigningKeys,
    UnknownKeyError,
)

ISSUER = "https://id.example"


def jwk(kid: str, **changes: Any) -> dict[str, Any]:
    key = ed25519.Ed25519PrivateKey.generate().public_key()
    fields = {"kid": kid, "alg": "EdDSA", **changes}
    return {**OKPAlgorithm.to_jwk(key, as_dict=True), **fields}


class Issuer:
    """An issuer without a network, and the time that it lives in."""

    def __init__(self) -> None:
        self.keys: list[Any] = [jwk("a")]
        self.metadata: Any = {"issuer": ISSUER, "jwks_uri": f"{ISSUER}/keys"}
        self.attempts, self.fetches, self.now = 0, 0, 1000.0
        self.error: Exception | None = None
        self.responds = asyncio.Event()
        self.responds.set()

    async def respond(self, request: Request) -> Response:
        if request.url.path == "/keys":
            self.fetches += 1
            return Response(200, json={"keys": self.keys})
        self.attempts += 1
        await self.responds.wait()
        if self.error:
            raise self.error
        if isinstance(self.metadata, Response):
            return self.metadata
        return Response(200, json=self.metadata)


@pytest.fixture
def issuer(monkeypatch: pytest.MonkeyPatch) -> Issuer:
    issuer = Issuer()

    def client() -> AsyncClient:
        return AsyncClient(transport=MockTransport(issuer.respond))

    monkeypatch.setattr(signing_keys, "_create_client", client)
    monkeypatch.setattr(signing_keys, "monotonic", lambda: issuer.now)
    return issuer


@pytest.fixture
def keys() -> SigningKeys:
    return SigningKeys(ISSUER, None, ["EdDSA", "RS256"])


async def test_all_who_wait_share_one_fetch(issuer: Issuer, keys: SigningKeys) -> None:
    await asyncio.gather(*(keys.get("a") for _ in range(50)))
    for _ in range(50):
        await keys.get("a")

    assert issuer.fetches == 1


async def test_a_client_that_disconnects_cancels_the_fetch_for_nobody(
    issuer: Issuer, keys: SigningKeys
) -> None:
    issuer.responds.clear()
    waiting = [asyncio.create_task(keys.get("a")) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    issuer.responds.set()

    results = await asyncio.gather(*waiting, return_exceptions=True)

    names = [type(result).__name__ for result in results]
    assert names == ["CancelledError", "PyJWK", "PyJWK"]
    assert issuer.fetches == 1


async def test_a_new_key_is_found_right_after_the_first_fetch(
    issuer: Issuer, keys: SigningKeys
) -> None:
    await keys.get("a")
    issuer.keys = [jwk("b"), *issuer.keys]

    await asyncio.gather(*(keys.get("b") for _ in range(50)))
    await keys.get("a")

    assert issuer.fetches == 2


@pytest.mark.parametrize("error", [None, OSError("down"), TimeoutError()])
async def test_unknown_keys_cause_two_attempts_and_then_one_per_pause(
    issuer: Issuer, keys: SigningKeys, error: Exception | None
) -> None:
    await keys.get("a")
    issuer.now += 100
    issuer.attempts, issuer.error = 0, error
    start = issuer.now
    attempts = []
    expected = KeysUnavailableError if error else UnknownKeyError
    for number in range(6 * PAUSE_SECONDS):
        with pytest.raises(expected):
            await keys.get(f"x{number}")
        attempts.append(issuer.attempts)
        issuer.now = start + number

    assert attempts[0] == 1
    assert attempts[1] == attempts[PAUSE_SECONDS] == 2
    assert attempts[-1] == 7
    assert (await keys.get("a")).key_id == "a"


async def test_a_known_key_serves_while_keys_are_fetched_again(
    issuer: Issuer, keys: SigningKeys
) -> None:
    await keys.get("a")
    issuer.now += FRESH_SECONDS
    await keys.get("a")
    assert issuer.attempts == 1
    issuer.now += 1
    issuer.responds.clear()

    await keys.get("a")
    issuer.responds.set()
    await keys._refresh()
    await keys.get("a")

    assert issuer.fetches == 2


async def test_known_keys_serve_for_a_day_without_the_issuer(
    issuer: Issuer, keys: SigningKeys
) -> None:
    await keys.get("a")
    issuer.error = OSError("down")
    issuer.now += STALE_SECONDS
    await keys.get("a")
    issuer.now += 1

    with pytest.raises(KeysUnavailableError):
        await keys.get("a")
    assert await keys.load() == ""

    issuer.error = None
    issuer.now += 2 * PAUSE_SECONDS
    await keys.get("a")


async def test_a_key_that_the_issuer_dropped_is_unknown(
    issuer: Issuer, keys: SigningKeys
) -> None:
    await keys.get("a")
    issuer.now += FRESH_SECONDS + 1
    issuer.keys = [jwk("b")]
    await keys.get("b")

    with pytest.raises(UnknownKeyError):
        await keys.get("a")


async def test_a_key_is_the_same_object_until_it_changes(
    issuer: Issuer, keys: SigningKeys
) -> None:
    """What was verified with it stays verified."""
    first = await keys.get("a")
    issuer.keys.append(jwk("b"))
    await keys.get("b")
    same = await keys.get("a")
    issuer.now += 2 * PAUSE_SECONDS
    issuer.keys = [jwk("a"), jwk("c")]
    await keys.get("c")

    assert same is first
    assert await keys.get("a") is not first


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ({}, "its metadata is that of None"),
        ({"issuer": f"{ISSUER}/"}, "its metadata is that of"),
        ({"issuer": ISSUER}, "not behind TLS"),
        ({"issuer": ISSUER, "jwks_uri": "http://id.example/keys"}, "not behind TLS"),
        ([], "does not respond with an object"),
        (Response(200, text="<html>"), "JSONDecodeError"),
        (Response(301, headers={"Location": "/x"}), "responds with 301"),
        (Response(500), "responds with 500"),
        (Response(200, content=b" " * 500_001), "more than 500000 bytes"),
    ],
)
async def test_metadata_that_is_wrong_is_not_believed(
    issuer: Issuer,
    keys: SigningKeys,
    metadata: object,
    reason: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    issuer.metadata = metadata

    assert reason in await keys.load()
    with pytest.raises(KeysUnavailableError):
        await keys.get("a")
    assert issuer.fetches == 0
    assert any(reason in str(vars(record)) for record in caplog.records)


async def test_the_setting_for_the_keys_replaces_the_metadata(issuer: Issuer) -> None:
    keys = SigningKeys(ISSUER, f"{ISSUER}/keys", ["EdDSA"])

    await keys.get("a")

    assert (issuer.attempts, issuer.fetches) == (0, 1)


@pytest.mark.parametrize("document", [[], [None], ["x"], [{}], [jwk("a", use="enc")]])
async def test_without_a_usable_key_none_is_loaded(
    issuer: Issuer, keys: SigningKeys, document: list[Any]
) -> None:
    issuer.keys = document

    assert "has no usable key" in await keys.load()


async def test_keys_that_cannot_verify_tokens_are_passed_over(
    issuer: Issuer, keys: SigningKeys
) -> None:
    short = rsa.generate_private_key(65537, 1024).public_key()
    curve = ec.generate_private_key(ec.SECP256R1()).public_key()
    odd = [
        *(None, "x", 7, [], {}, {"kty": "??"}),
        {"kty": "oct", "kid": "secret", "k": "AAAA", "alg": "HS256"},
        {**json.loads(RSAAlgorithm.to_jwk(short)), "kid": "short"},
        {**json.loads(ECAlgorithm.to_jwk(curve)), "kid": "other algorithm"},
        jwk("encryption", use="enc"),
        jwk("", alg="EdDSA"),
    ]
    issuer.keys = [*odd, jwk("a", use="sig")]

    await keys.get("a")

    for kid in ("secret", "short", "other algorithm", "encryption", ""):
        with pytest.raises(UnknownKeyError):
            await keys.get(kid)


async def test_an_attempt_takes_four_seconds_at_the_most(
    issuer: Issuer, keys: SigningKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signing_keys, "FETCH_SECONDS", 0.01)
    issuer.responds.clear()

    assert await keys.load() == "TimeoutError()"
