"""The settings, as a deployment gives them."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from dotenv import dotenv_values

from app.core import config
from app.core.config import Settings, settings

EXAMPLE = Path(__file__).parents[2] / ".env.example"
# The service's own, which a test of the others passes on.
REQUIRED: dict[str, Any] = {
    name: getattr(settings, name)
    for name, field in Settings.model_fields.items()
    if field.is_required()
}

Load = Callable[..., Settings]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Load:
    """Load the settings again, from variables and a `.env` that a test names."""

    def load(**environment: str) -> Settings:
        known: dict[str, Any] = {**REQUIRED, "_env_file": tmp_path / ".env"}
        monkeypatch.setattr(config, "Settings", partial(Settings, **known))
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return config.load()

    return load


def test_the_example_file_names_every_setting() -> None:
    # A group has a name for each of its parts.
    named = {name.upper().split("__")[0] for name in dotenv_values(EXAMPLE)}

    assert {name.upper() for name in Settings.model_fields} <= named


def test_the_example_file_holds_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in dotenv_values(EXAMPLE):
        monkeypatch.delenv(name, raising=False)
    known: dict[str, Any] = {**REQUIRED, "DATABASE_URL": settings.DATABASE_URL}

    example = Settings(_env_file=EXAMPLE, **known)

    assert example == Settings(_env_file=None, **known)


def test_production_without_a_database_ends_with_one_sentence(load: Load) -> None:
    with pytest.raises(SystemExit, match="DATABASE_URL: is required outside develop"):
        load(ENVIRONMENT="production", DATABASE_URL="")


@pytest.mark.parametrize(
    "url",
    [
        "nonsense-s3cret",
        "mysql://me:s3cret@host/db",
        "postgresql://me:s3cret@host:x/db",
        "postgresql://me:pass@word:s3cret@host/db",
    ],
)
def test_an_unusable_database_url_is_named_but_not_shown(load: Load, url: str) -> None:
    with pytest.raises(SystemExit, match="DATABASE_URL") as error:
        load(DATABASE_URL=url)

    assert "s3cret" not in str(error.value)


def test_the_password_of_the_database_is_never_printed(load: Load) -> None:
    settings = load(DATABASE_URL="postgres://me:s3cret@host/db?sslmode=require")

    assert "postgresql+asyncpg://me:***@host/db?ssl=require" in str(settings)
    assert "s3cret" not in str(settings)


def test_all_invalid_settings_are_named_together(load: Load) -> None:
    with pytest.raises(SystemExit) as error:
        load(DB_POOL_SIZE="none", DB_POOL_TIMEOUT="-1", DATABASE_URL="x")

    for name in ("DB_POOL_SIZE", "DB_POOL_TIMEOUT", "DATABASE_URL"):
        assert name in str(error.value)
