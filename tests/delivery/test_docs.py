"""`/docs` of a service that asks for access tokens, in a browser."""

import re
from collections.abc import Generator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, Route, expect, sync_playwright

from tests.harness import npm
from tests.harness.types import Render

# FastAPI's page loads it from a CDN, on which this test must not depend.
SWAGGER_UI = "swagger-ui-dist@5.35.0"


@pytest.fixture
def swagger_ui(tmp_path: Path) -> Path:
    return npm.install(tmp_path, SWAGGER_UI) / "swagger-ui-dist"


@pytest.fixture
def page(swagger_ui: Path) -> Generator[Page]:
    """A page of a browser that has Swagger UI without a network."""

    def answer(route: Route) -> None:
        name = route.request.url.rpartition("/")[2]
        if route.request.url.startswith("http://127.0.0.1:"):
            route.continue_()
        elif (swagger_ui / name).is_file():
            route.fulfill(path=swagger_ui / name)
        else:
            route.abort()

    with (
        sync_playwright() as playwright,
        # Root may not have a sandbox.
        playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"]
        ) as browser,
    ):
        page = browser.new_page()
        page.route("**/*", answer)
        yield page


def click(button: Locator) -> None:
    """Click without waiting for the page to be drawn, which can take long on a busy machine."""
    button.dispatch_event("click")


def status_of_listing(page: Page) -> str:
    """Send `GET /items` from the page, and return the status that it shows."""
    operation = page.locator("#operations-items-list_items")
    click(operation.get_by_role("button", name=re.compile("GET")).first)
    click(operation.get_by_role("button", name="Try it out"))
    click(operation.get_by_role("button", name="Execute"))
    status = operation.locator(
        ".live-responses-table tr.response td.response-col_status"
    ).first
    expect(status).to_have_text(re.compile(r"\d{3}"))
    return (status.text_content() or "").strip()[:3]


def test_the_docs_keep_the_token_that_was_entered_when_they_are_loaded_again(
    installed: Render, page: Page
) -> None:
    project = installed(auth="oidc")
    token = project.run("token", "items:read").stdout.strip()

    with project.serve() as client:
        # Without the fragment of the last operation, which the page would open by itself.
        docs = f"{client.base_url}/docs"
        page.goto(docs)
        without = status_of_listing(page)
        page.goto(docs)
        click(page.get_by_role("button", name="Authorize").first)
        dialog = page.locator(".modal-ux")
        dialog.get_by_role("textbox").fill(token)
        click(dialog.get_by_role("button", name="Apply credentials"))
        click(dialog.get_by_role("button", name="Close"))
        entered = status_of_listing(page)
        page.goto(docs)
        again = status_of_listing(page)
        page.goto("about:blank")

    assert [without, entered, again] == ["401", "200", "200"]
