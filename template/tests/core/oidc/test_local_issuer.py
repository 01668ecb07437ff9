"""The issuer of development, and the command that prints its tokens."""

import runpy
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.core.config import settings
from app.core.oidc import local_issuer
from app.core.oidc.local_issuer import LocalIssuer
from tests.identities import accepted_tokens

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The file of the key, which does not exist yet."""
    path = tmp_path / ".local" / "issuer.pem"
    monkeypatch.setattr(local_issuer, "PATH", path)
    return path


def print_token(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str
) -> str:
    """Run the module, as in a container, which has no command of the project itself."""
    monkeypatch.setattr(sys, "argv", ["token", *words])
    runpy.run_module("app.core.token", run_name="__main__")
    return capsys.readouterr().out.removesuffix("\n")


async def test_the_token_that_is_printed_is_accepted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("lamps:read", "lamps:write", "--subject", "ann")

    printed = print_token(monkeypatch, capsys, *words)

    tokens = accepted_tokens()
    tokens.keys = LocalIssuer()
    principal = await tokens.verify(printed)
    assert principal.subject == "ann"
    assert principal.permissions == {"lamps:read", "lamps:write"}
    assert principal.claims["exp"] - principal.claims["iat"] == 8 * 3600


def test_only_the_developer_can_read_the_key(path: Path) -> None:
    first, second = local_issuer.stored_key(), local_issuer.stored_key()

    assert first.private_bytes_raw() == second.private_bytes_raw()
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["issuer.pem"]


def test_no_token_is_printed_where_an_issuer_is_set(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], path: Path
) -> None:
    monkeypatch.setattr(settings, "AUTH_ISSUER", "https://id.example")

    with pytest.raises(SystemExit):
        print_token(monkeypatch, capsys)

    assert "https://id.example" in capsys.readouterr().err
    assert not path.exists()


def test_processes_that_start_together_have_the_same_key(path: Path) -> None:
    program = (
        "from pathlib import Path; from app.core.oidc import local_issuer;"
        f"local_issuer.PATH = Path({str(path)!r});"
        "print(local_issuer.stored_key().public_key().public_bytes_raw().hex())"
    )

    def key(_: int) -> str:
        command = [sys.executable, "-c", program]
        return subprocess.check_output(command, cwd=ROOT, text=True)

    with ThreadPoolExecutor(4) as pool:
        keys = set(pool.map(key, range(4)))

    assert len(keys) == 1
    assert [file.name for file in path.parent.iterdir()] == ["issuer.pem"]
