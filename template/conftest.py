"""The settings of the tests: the defaults, with patience and the configured database."""

import os
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

ROOT = Path(__file__).parent
# A slow machine, or one that runs other tests too, must not decide a test.
PATIENCE: dict[str, Any] = {
    "REQUEST_TIMEOUT": 60,
    "DB_POOL_TIMEOUT": 60,
    "DB_STATEMENT_TIMEOUT": 60,
    "DB_LOCK_TIMEOUT": 60,
}


def use_defaults() -> None:
    """Keep the developer's settings, in `.env` or in the environment, from the tests.

    A setting that has no default has the value that `.env.example` gives it. If that is
    empty, as it is for a secret, the developer's own value stays.
    """
    example = dotenv_values(ROOT / ".env.example")
    # Into the environment, so that processes that a test starts have them too.
    os.environ.update({name: value for name, value in example.items() if value})
    # Imported here, as this creates the settings.
    from app.core.config import Settings, settings

    kept: dict[str, Any] = {
        name: getattr(settings, name)
        for name, field in Settings.model_fields.items()
        if name == "DATABASE_URL" or field.is_required()
    }
    for name, value in example.items():
        # A group has a name for each of its parts.
        if not value and name.split("__")[0] not in kept:
            os.environ.pop(name, None)
    settings.__init__(_env_file=None, **{**PATIENCE, **kept})
    # Tests send no telemetry.
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        del os.environ[name]


# Before anything else imports the application.
use_defaults()
