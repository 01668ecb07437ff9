"""The settings, as a deployment gives them."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from dotenv import dotenv_values

from app.core import config, env_file
from app.core.config import Settings, settings

EXAMPLE = Path(__file__).parents[2] / ".env.example"
# The service's own, which a test of the others passes on.
REQUIRED: dict[str, Any] = {
    name: getattr(settings, name)
    for name, field in Settings.model_fields.items()
    if field.is_required()
}

Load = Callable[..., Settings]
Refuse = Callable[..., list[str]]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Load:
    """Load the settings again, from variables and the content of a `.env`."""

    def load(content: bytes = b"", **variables: str) -> Settings:
        file = tmp_path / ".env"
        file.write_bytes(content)
        known: dict[str, Any] = {**REQUIRED, "_env_file": file}
        monkeypatch.setattr(env_file, "ENV_FILE", file)
        monkeypatch.setattr(config, "Settings", partial(Settings, **known))
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return config.load()

    return load


@pytest.fixture
def refuse(load: Load) -> Refuse:
    """Load settings that are refused, and return the sentences that say why."""

    def refuse(content: bytes = b"", **variables: str) -> list[str]:
        with pytest.raises(SystemExit) as error:
            load(content, **variables)
        _, *problems = str(error.value).splitlines()
        return [problem.strip() for problem in problems]

    return refuse


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


def test_env_is_the_one_of_the_project() -> None:
    assert Settings.model_config["env_file"] == EXAMPLE.with_name(".env")


def test_production_without_a_database_ends_with_one_sentence(refuse: Refuse) -> None:
    problems = refuse(ENVIRONMENT="production", DATABASE_URL="")

    assert problems == ["DATABASE_URL: is required outside development"]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("nonsense-s3cret", "is not postgresql://"),
        ("mysql://me:s3cret@host/db", "must start with postgresql://"),
        ("postgresql://me:s3cret@host:x/db", "is not postgresql://"),
        ("postgresql://me:pass@word:s3cret@host/db", "is not postgresql://"),
        ("postgresql://me:pass@s3cret@host/db", "has an @ in its password"),
        ('"postgresql://me:s3cret@host/db"', "is not postgresql://"),
        ("postgresql://me:s3cret@host/db # prod", "has a space, a quote or a #"),
        ("postgresql://me:s3cret@host/db'", "has a space, a quote or a #"),
        ("postgresql://me:s3cret@host # prod", "has a space, a quote or a #"),
        ("postgresql://me:s3cret@host/db?ssl=require # x", "has a space, a quote"),
        (
            "postgresql://me:s3cret@host/db?sslmode=require&channel_binding=require",
            "has options that asyncpg does not know: channel_binding.",
        ),
        (
            "postgresql://me:s3cret@host/db?sslrootcert=ca.pem&pgbouncer=true",
            "has options that asyncpg does not know: pgbouncer, sslrootcert.",
        ),
        ("postgresql://me:s3cret@host/db?sslmode=true", "needs as its ssl one of"),
        (
            "postgresql://me:s3cret@host/db?target_session_attrs=master",
            "needs as its target_session_attrs one of",
        ),
        ("postgresql://me:s3cret@/db?host=a:1&host=b", "cannot be used: All ports"),
        ("postgresql://me:s3cret@host:65536/db", "has a port above 65535: 65536"),
    ],
)
def test_an_unusable_database_url_is_named_but_not_shown(
    refuse: Refuse, url: str, reason: str
) -> None:
    (problem,) = refuse(DATABASE_URL=url)

    assert problem.startswith(f"DATABASE_URL: {reason}")
    assert "s3cret" not in problem


@pytest.mark.parametrize(
    ("url", "understood"),
    [
        ("postgres://me@host/db?sslmode=require", "me@host/db?ssl=require"),
        ("postgresql://me@a:1,b:2/db", "me@/db?host=a%3A1&host=b%3A2"),
        ("postgresql://me@a,b?ssl=allow", "me@?host=a%3A5432&host=b%3A5432&ssl=allow"),
        ("postgresql://me:%40%23%20@host/db\n", "me:***@host/db"),
        ("postgresql://me:a,b#'@host/db", "me:***@host/db"),
    ],
)
def test_a_database_url_of_a_provider_is_understood(
    load: Load, url: str, understood: str
) -> None:
    settings = load(DATABASE_URL=url)

    assert repr(settings.DATABASE_URL) == f"postgresql+asyncpg://{understood}"


def test_the_password_of_the_database_is_never_printed(load: Load) -> None:
    settings = load(DATABASE_URL="postgres://me:s3cret@host/db?sslmode=require")

    assert "postgresql+asyncpg://me:***@host/db?ssl=require" in str(settings)
    assert "s3cret" not in str(settings)


@pytest.mark.parametrize(
    ("name", "value", "understood"),
    [
        ("ALLOWED_HOSTS", "A.example , *.b.example,", ["a.example", "*.b.example"]),
        ("ALLOWED_HOSTS", ' ["a.example", "[::1]"]', ["a.example", "[::1]"]),
        ("CORS_ORIGINS", "https://A.example/", ["https://a.example"]),
        ("CORS_ORIGINS", "https://a.example:443", ["https://a.example"]),
        ("CORS_ORIGINS", "http://a:443,http://b:80", ["http://a:443", "http://b"]),
        ("CORS_ORIGINS", '["*"]', ["*"]),
        (
            "CORS_ORIGINS",
            "null,capacitor://localhost",
            ["null", "capacitor://localhost"],
        ),
        ("CORS_ORIGINS", " ", []),
        ("FORWARDED_ALLOW_IPS", "10.0.0.0/8, ::1", ["10.0.0.0/8", "::1"]),
        ("FORWARDED_ALLOW_IPS", "127.0.0.1,*", ["*"]),
    ],
)
def test_a_list_is_understood(
    load: Load, name: str, value: str, understood: list[str]
) -> None:
    assert getattr(load(**{name: value}), name) == understood


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("ALLOWED_HOSTS", '"a.example,b.example"', "'\"a.example' is not a host name"),
        ("ALLOWED_HOSTS", "a.example # ours", "'a.example # ours' is not a host name"),
        ("ALLOWED_HOSTS", "a.example b.example", "is not a host name"),
        ("ALLOWED_HOSTS", "https://a.example", "is not a host name"),
        ("ALLOWED_HOSTS", "a.example:8000", "is not a host name"),
        ("ALLOWED_HOSTS", "a.*", "is not a host name"),
        ("ALLOWED_HOSTS", "*a.example", "is not a host name"),
        ("ALLOWED_HOSTS", "['a.example']", "is neither separated by commas nor"),
        ("ALLOWED_HOSTS", "[1]", "Input should be a valid string"),
        ("ALLOWED_HOSTS", ",", "List should have at least 1"),
        ("CORS_ORIGINS", "'https://a.example'", "is not an origin"),
        ("CORS_ORIGINS", "https://a.example # ours", "is not an origin"),
        ("CORS_ORIGINS", "https://a.example/path", "is not an origin"),
        ("CORS_ORIGINS", "https://*.example", "is not an origin"),
        ("CORS_ORIGINS", "a.example", "is not an origin"),
        ("FORWARDED_ALLOW_IPS", "10.0.0.1/8", "10.0.0.1/8 has host bits set"),
        ("FORWARDED_ALLOW_IPS", "10.0.0.1 # proxy", "does not appear to be"),
        ("FORWARDED_ALLOW_IPS", '"10.0.0.1"', "does not appear to be"),
        ("FORWARDED_ALLOW_IPS", "proxy.example", "does not appear to be"),
    ],
)
def test_a_list_that_would_match_nothing_is_refused(
    refuse: Refuse, name: str, value: str, shown: str
) -> None:
    problem, *_ = refuse(**{name: value})

    assert problem.startswith(name)
    assert shown in problem


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        (
            {"ENVIRONMENT": "Production", "DATABASE_URL": ""},
            "ENVIRONMENT: Input should be 'development' or 'production'",
        ),
        (
            {"DEBUG": "ja"},
            "DEBUG: Input should be a valid boolean, unable to interpret input",
        ),
        (
            {"REQUEST_TIMEOUT": "inf"},
            "REQUEST_TIMEOUT: Input should be a finite number",
        ),
    ],
)
def test_one_wrong_value_is_one_sentence(
    refuse: Refuse, variables: dict[str, str], problem: str
) -> None:
    assert refuse(**variables) == [problem]


def test_all_invalid_settings_are_named_together(refuse: Refuse) -> None:
    problems = refuse(DB_POOL_SIZE="none", DB_POOL_TIMEOUT="-1", DATABASE_URL="x")

    names = [problem.split(":")[0] for problem in problems]
    assert names == ["DATABASE_URL", "DB_POOL_SIZE", "DB_POOL_TIMEOUT"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (
            b"DEBUG=true\nDATABASE_URL='postgresql://me:s3cret@host/db\n",
            ", line 2: is not NAME=value, or a quote in it is not closed",
        ),
        (
            b"\n\nDATABASE_URL: s3cret\n",
            ", line 3: is not NAME=value, or a quote in it is not closed",
        ),
        ("DEBUG=true\n".encode("utf-16"), ": is not encoded in UTF-8"),
        ("DEBUG=true\n".encode("utf-16-le"), ": is not encoded in UTF-8"),
    ],
)
def test_an_env_file_that_cannot_be_read_is_refused(
    refuse: Refuse, tmp_path: Path, content: bytes, problem: str
) -> None:
    assert refuse(content) == [f"{tmp_path / '.env'}{problem}"]


def test_a_byte_order_mark_hides_no_setting(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DB_MAX_OVERFLOW")

    assert load(b"\xef\xbb\xbfDB_MAX_OVERFLOW=7\n").DB_MAX_OVERFLOW == 7
