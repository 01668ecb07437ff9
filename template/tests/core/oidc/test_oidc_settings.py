"""The settings about access tokens, as a deployment gives them."""

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from app.core import config
from app.core.config import Settings, settings

ROOT = Path(__file__).parents[3]
# The service's own, which a test of the others passes on.
REQUIRED: dict[str, Any] = {
    name: getattr(settings, name)
    for name, field in Settings.model_fields.items()
    if field.is_required()
}
PRODUCTION = {
    "ENVIRONMENT": "production",
    "DATABASE_URL": "postgresql://a:b@c/d",
    "AUTH_ISSUER": "https://id.example",
    "AUTH_AUDIENCE": "lamps",
}


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Settings]:
    """Load the settings again, of a service in production with these differences."""

    def load(**changes: str) -> Settings:
        known: dict[str, Any] = {**REQUIRED, "_env_file": None}
        monkeypatch.setattr(config, "Settings", partial(Settings, **known))
        for name, value in {**PRODUCTION, **changes}.items():
            monkeypatch.setenv(name, value)
        return config.load()

    return load


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"AUTH_ISSUER": ""}, "AUTH_ISSUER: is required outside development"),
        (
            {"AUTH_ISSUER": "http://id.example"},
            "AUTH_ISSUER: must start with https:// outside development",
        ),
        (
            {"AUTH_KEYS_URL": "http://id.example/keys"},
            "AUTH_KEYS_URL: must start with https:// outside development",
        ),
        (
            {"AUTH_AUDIENCE": ""},
            "AUTH_AUDIENCE: or AUTH_CLIENTS is required: tokens for other services would",
        ),
        (
            {"AUTH_ALGORITHMS": "RS256,HS256"},
            "AUTH_ALGORITHMS: 'HS256' is not one of RS256, RS384, RS512, PS256, PS384,",
        ),
        ({"AUTH_ALGORITHMS": "none"}, "AUTH_ALGORITHMS: 'none' is not one of RS256"),
        ({"AUTH_ALGORITHMS": ","}, "AUTH_ALGORITHMS: Value should have at least 1"),
        ({"AUTH_LEEWAY": "301"}, "AUTH_LEEWAY: Input should be less than or equal to"),
    ],
)
def test_production_refuses_settings_that_open_it(
    load: Callable[..., Settings], changes: dict[str, str], problem: str
) -> None:
    with pytest.raises(SystemExit) as error:
        load(**changes)

    _, *problems = str(error.value).splitlines()
    assert len(problems) == 1
    assert problems[0].strip().startswith(problem)


def test_lists_are_separated_by_commas_or_json(
    load: Callable[..., Settings],
) -> None:
    settings = load(AUTH_AUDIENCE="", AUTH_CLIENTS="a , b", AUTH_ALGORITHMS='["RS256"]')

    assert settings.AUTH_CLIENTS == ["a", "b"]
    assert settings.AUTH_ALGORITHMS == ["RS256"]


def test_production_loads_nothing_of_the_local_issuer() -> None:
    program = "import sys, app.core.auth; print(*sys.modules)"

    modules = subprocess.check_output(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, **PRODUCTION},
        text=True,
    ).split()

    assert "app.core.oidc.signing_keys" in modules
    assert "app.core.oidc.local_issuer" not in modules
