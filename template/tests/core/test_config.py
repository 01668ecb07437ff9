"""The settings, as a deployment gives them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from dotenv import dotenv_values

from app.core.config import Settings

ROOT = Path(__file__).parents[2]


def load_settings(**environment: str) -> subprocess.CompletedProcess[str]:
    """Import the settings in a process of their own, away from any `.env`."""
    return subprocess.run(
        [sys.executable, "-c", "from app.core.config import settings; print(settings)"],
        cwd=ROOT / "alembic",
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_example_file_names_every_setting() -> None:
    assert set(dotenv_values(ROOT / ".env.example")) == set(Settings.model_fields)


def test_the_example_file_holds_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in set(Settings.model_fields) - {"DATABASE_URL"}:
        monkeypatch.delenv(name, raising=False)

    example = Settings(_env_file=ROOT / ".env.example")

    assert example == Settings(_env_file=None)


def test_production_without_a_database_ends_with_one_sentence() -> None:
    result = load_settings(ENVIRONMENT="production", DATABASE_URL="")

    assert result.returncode == 1
    assert "DATABASE_URL: Value error, is required outside development" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "url",
    [
        "nonsense-s3cret",
        "mysql://me:s3cret@host/db",
        "postgresql://me:s3cret@host:x/db",
        "postgresql://me:pass@word:s3cret@host/db",
    ],
)
def test_an_unusable_database_url_is_named_but_not_shown(url: str) -> None:
    result = load_settings(DATABASE_URL=url)

    assert result.returncode == 1
    assert "DATABASE_URL" in result.stderr
    assert "s3cret" not in result.stderr


def test_the_password_of_the_database_is_never_printed() -> None:
    result = load_settings(DATABASE_URL="postgres://me:s3cret@host/db?sslmode=require")

    assert "postgresql+asyncpg://me:***@host/db?ssl=require" in result.stdout
    assert "s3cret" not in result.stdout


def test_all_invalid_settings_are_named_together() -> None:
    result = load_settings(DB_POOL_SIZE="none", DB_POOL_TIMEOUT="-1", DATABASE_URL="x")

    for name in ("DB_POOL_SIZE", "DB_POOL_TIMEOUT", "DATABASE_URL"):
        assert name in result.stderr
