"""A certified OpenID provider, from npm, whose tokens a rendered service accepts."""

import base64
import contextlib
import hashlib
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Generator
from pathlib import Path
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx2

from tests.harness import npm
from tests.harness.project import free_port, is_used, wait_until

AUDIENCE = "https://items.example"
PACKAGES = ("oidc-provider@9.13.3", "jose@6.2.18")
CALLBACK = "https://app.example/callback"


class Issuer:
    """The provider on a port of this machine, while it runs."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self.settings = {
            # Production refuses an issuer that is not behind TLS.
            "ENVIRONMENT": "development",
            "AUTH_ISSUER": self.url,
            "AUTH_AUDIENCE": AUDIENCE,
        }
        npm.install(directory, *PACKAGES)
        shutil.copy(Path(__file__).with_name("issuer.mjs"), directory)

    @contextlib.contextmanager
    def running(self) -> Generator[None]:
        """Run it while the context lasts."""
        program = ("node", "issuer.mjs", str(self._port), AUDIENCE)
        with subprocess.Popen(
            program,
            cwd=self._directory,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as process:
            try:
                wait_until(lambda: is_used(self._port))
                yield
            finally:
                # The program may be one that has started the real one.
                os.killpg(process.pid, signal.SIGKILL)
        wait_until(lambda: not is_used(self._port))

    def tell(self, command: str) -> None:
        """Let it rotate its keys, or go down or up."""
        httpx2.post(f"{self.url}/_{command}").raise_for_status()

    def fetches(self) -> int:
        """Return how often its keys were fetched."""
        return int(httpx2.get(f"{self.url}/_fetches").text)

    def machine_token(self) -> str:
        """Return the access token of a program that may read and write."""
        form = {"grant_type": "client_credentials", "scope": "items:read items:write"}
        secret = ("machine", "machine-secret")
        response = httpx2.post(f"{self.url}/token", auth=secret, data=form)
        return response.raise_for_status().json()["access_token"]

    def person_tokens(self) -> dict[str, str]:
        """Return all tokens of a person who may read: authorization code with PKCE."""
        verifier = "v" * 43
        digest = hashlib.sha256(verifier.encode()).digest()
        parameters = {
            "client_id": "app",
            "response_type": "code",
            "redirect_uri": CALLBACK,
            "scope": "openid offline_access items:read",
            "prompt": "consent",
            "nonce": "n",
            "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
            "code_challenge_method": "S256",
        }
        with httpx2.Client() as browser:
            page = browser.get(f"{self.url}/auth", params=parameters)
            while not (location := page.headers.get("location", "")).startswith(
                CALLBACK
            ):
                page = browser.get(urljoin(str(page.url), location))
                if not page.is_redirect:
                    page = self._submit(browser, page)
            form = {
                "grant_type": "authorization_code",
                "client_id": "app",
                "code": parse_qs(urlsplit(location).query)["code"][0],
                "redirect_uri": CALLBACK,
                "code_verifier": verifier,
            }
            return browser.post(f"{self.url}/token", data=form).json()

    def _submit(self, browser: httpx2.Client, page: httpx2.Response) -> httpx2.Response:
        """Log in, or consent: whichever the page asks for."""
        (action,) = re.findall(r'action="([^"]+)"', page.text)
        (prompt,) = re.findall(r'name="prompt" value="([^"]+)"', page.text)
        form = {"prompt": prompt, "login": "ann", "password": "x"}
        return browser.post(urljoin(str(page.url), action), data=form)
