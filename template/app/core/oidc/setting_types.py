"""The types of the settings about access tokens, and the values that are refused."""

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

from app.core.setting_types import Names

# With a secret that the issuer and its services share (HS256), each of them could issue
# tokens; with "none", everybody.
ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)


def _required(value: str | None, info: ValidationInfo) -> str | None:
    if value is None and info.data.get("ENVIRONMENT") == "production":
        raise ValueError("is required outside development")
    return value


def _encrypted(value: str | None, info: ValidationInfo) -> str | None:
    is_plain = value is not None and not value.startswith("https://")
    if is_plain and info.data.get("ENVIRONMENT") == "production":
        raise ValueError("must start with https:// outside development")
    return value


def _asymmetric(names: list[str]) -> list[str]:
    for name in names:
        if name not in ALGORITHMS:
            raise ValueError(f"{name!r} is not one of {', '.join(ALGORITHMS)}")
    return names


def _bounded(names: list[str], info: ValidationInfo) -> list[str]:
    if not names and info.data.get("AUTH_ISSUER") and not info.data.get("AUTH_CLIENTS"):
        raise ValueError(
            "or AUTH_CLIENTS is required: tokens for other services would be accepted too"
        )
    return names


Issuer = Annotated[str | None, BeforeValidator(_required), AfterValidator(_encrypted)]
KeysURL = Annotated[str | None, AfterValidator(_encrypted)]
Audience = Annotated[Names, AfterValidator(_bounded)]
Algorithms = Annotated[Names, Field(min_length=1), AfterValidator(_asymmetric)]
