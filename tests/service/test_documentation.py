"""The README and the pages, by doing what they say."""

import ast
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.history import commit
from tests.harness.owners import ANCHOR
from tests.harness.pages import (
    HOW_TO,
    PAGES,
    anchors,
    apply,
    blocks,
    section,
    steps,
)
from tests.harness.project import ROOT, Project, free_port, wait_for_reload
from tests.harness.types import Render

# What a person has: without the environment that these tests run in.
SYSTEM_PATH = os.pathsep.join(
    path
    for path in os.environ["PATH"].split(os.pathsep)
    if not path.startswith((sys.prefix, str(ROOT / ".tools")))
)

# The headings of 0.10.0: rendered projects and bookmarks link to them.
OLD_ANCHORS = {
    "how-to.md": """
        use-another-postgresql
        look-into-the-local-postgresql
        start-without-the-example
        change-the-interface
        add-another-order-to-a-list
        do-a-request-once-however-often-it-is-sent
        write-a-table-whose-key-is-not-a-uuid
        change-the-schema-without-an-outage
        an-index
        another-name-for-a-column
        stream-rows-and-work-after-the-response
        run-it-in-production
        ship-an-image
        deploy-on-kubernetes
        roll-back
        scale-out
        rotate-the-password-of-the-database
        restore-a-backup
        grow-beyond-one-primary
        update-a-service-from-the-template
        when-there-is-a-conflict
        when-the-template-moves
        let-a-pipeline-do-it
        take-a-file-of-the-template-over-for-good
        change-an-answer
        move-an-existing-service-under-the-template
    """,
    "design.md": """
        no-trust
        files-have-owners
        the-commit-comes-before-the-response
        dead-connections-for-nothing
        thirty-connections-and-no-overflow
        reads-without-a-transaction
        reads-that-are-compiled-once
        cycles-are-looked-for-rarely
        other-features-routes-are-not-tried
        measured-side-by-side
        turns-at-the-pool
        reads-say-where-they-go
        kustomize-and-little-of-it
        two-layers-around-the-routes
        deadlines-from-the-inside-out
        lists-in-pages-by-their-keys
        a-change-names-the-version-it-was-made-for
        what-may-be-repeated-is-kept-with-its-work
        the-interface-is-a-file
        a-database-that-comes-with-the-project
        tests-in-a-transaction
        migrations-take-turns
        an-image-that-is-the-teams-and-checks-that-are-the-templates
        no-lock-file-here
    """,
    "reference.md": """
        questions
        what-a-service-runs-on
        commands-of-a-service
        settings
        names-to-build-on
        reading-from-a-replica
        the-log
        errors
        promises
        routes-that-every-service-has
        routes-of-the-example
        files-and-their-owners
    """,
}

PROMISE = r"(?m)^@pytest\.mark\.promise\(([0-9]+)\)$"


@pytest.fixture
def clone(tmp_path: Path) -> Project:
    """A clone of this repository, with what is not committed yet."""
    clone = Project(tmp_path / "clone")
    subprocess.run(["git", "clone", "--quiet", ROOT, clone.path], check=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).exists():
            (clone.path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, clone.path / name)
        else:
            (clone.path / name).unlink(missing_ok=True)
    clone.git("add", "--all")
    clone.git("commit", "--quiet", "--allow-empty", "--message", "Working tree")
    return clone


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_to_a_file_and_an_anchor_in_it(page: Path) -> None:
    prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    links = re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", prose)

    for link, anchor in links:
        target = (page.parent / link).resolve() if link else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), (link, anchor)


@pytest.mark.parametrize("name", OLD_ANCHORS)
def test_every_anchor_of_an_earlier_version_is_still_there(name: str) -> None:
    assert set(OLD_ANCHORS[name].split()) <= anchors(ROOT / "docs" / name)


def test_the_index_of_the_how_to_guides_lists_every_heading() -> None:
    """Each line leads on, so an old bookmark ends one click from its section."""
    index = ROOT / "docs" / "how-to.md"
    listed = re.findall(
        r'^ *- (?:<a id="[^"]+"></a>)*\[(.*)\]\(how-to/(.*)#',
        index.read_text(),
        re.MULTILINE,
    )

    assert listed == [
        (heading, page.name)
        for page in HOW_TO
        for heading in re.findall(r"^##+ (.*)$", page.read_text(), re.MULTILINE)
    ]


RINGS = """
import json
from app.main import app

ring, rings = app.build_middleware_stack(), []
while type(ring).__name__ != "APIRouter":
    rings.append((type(ring).__module__, type(ring).__name__))
    ring = ring.app
print(json.dumps(rings))
"""


def test_the_design_shows_the_rings_around_a_request(installed: Render) -> None:
    picture, _ = blocks((ROOT / "docs" / "design.md").read_text(), "text")
    lines = [re.findall(r"^( *)(\w+) {2,}\S", line)[0] for line in picture.splitlines()]
    settings = {
        "ALLOWED_HOSTS": "localhost",
        "CORS_ORIGINS": "http://localhost",
        "DATABASE_URL": "postgresql://nobody@127.0.0.1/none",
    }

    rings = json.loads(installed().run("python", "-c", RINGS, **settings).stdout)

    assert [len(indent) for indent, _ in lines] == list(range(0, 2 * len(lines), 2))
    # FastAPI and Starlette have rings of their own in private modules, too.
    public = [
        ring for module, ring in rings if not re.search(r"\b_", f"{module}.{ring}")
    ]
    assert [name for _, name in lines] == [*public, "APIRouter", "SessionDep"]


def test_the_design_shows_the_direction_of_the_imports(render: Render) -> None:
    _, picture = blocks((ROOT / "docs" / "design.md").read_text(), "text")
    layers = [re.findall(r"\w+", part) for part in picture.split("←")]
    height = {name: index for index, layer in enumerate(layers) for name in layer}
    app = render(auth="oidc", jobs=True, telemetry=True).path / "app"
    modules = [
        (path, path.relative_to(app / "core")) for path in app.rglob("core/**/*.py")
    ]
    modules.append((app / "main.py", Path("main.py")))

    named = {Path(path.parts[0]).stem for _, path in modules if path.stem != "__init__"}
    crossing = {
        (str(path), imported)
        for file, path in modules
        for imported in imports(file)
        if height[Path(path.parts[0]).stem] < height[imported]
    }

    assert named == set(height)
    assert crossing == set()


def imports(path: Path) -> set[str]:
    """Return the parts of `app.core` that a module imports when it is loaded."""
    names = {
        f"{node.module}.{alias.name}"
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    return {name.split(".")[2] for name in names if name.startswith("app.core.")}


def test_every_make_target_that_a_page_names_exists() -> None:
    targets = set(
        re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    )
    named = {
        name
        for page in PAGES
        for name in re.findall(r"make ([a-z-]+)", page.read_text())
    }

    assert {"demo", "test"} <= named & targets
    for block in [
        block for page in PAGES for block in blocks(page.read_text(), "console")
    ]:
        assert set(re.findall(r"^make ([a-z-]+)", block, re.MULTILINE)) <= targets


def test_every_promise_of_the_reference_has_a_test() -> None:
    reference = (ROOT / "docs" / "reference.md").read_text()
    promised = set(re.findall(r"^\| ([0-9]{1,2}) \|", reference, re.MULTILINE))
    tests = (path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    marks = {number for text in tests for number in re.findall(PROMISE, text)}

    assert marks == promised


def test_every_setting_is_in_the_reference(render: Render) -> None:
    reference = (ROOT / "docs" / "reference.md").read_text()
    service = render(auth="oidc", jobs=True, telemetry=True)
    example = (service.path / ".env.example").read_text()

    for name in re.findall(r"^([A-Z_]+)=", example, re.MULTILINE):
        assert f"`{name}`" in reference, name


def test_smoke_renders_serves_and_asks(clone: Project) -> None:
    output = clone.run("make", "smoke", PATH=SYSTEM_PATH).stdout

    assert "POST /items → 201" in output
    assert "GET /items → 200" in output


def test_demo_serves_at_the_port_that_is_chosen_until_ctrl_c(clone: Project) -> None:
    port = free_port()
    command = ("make", "demo", f"PORT={port}")

    with clone.serve(*command, port=port, PATH=SYSTEM_PATH) as client:
        assert client.get("/items").json() == {"items": [], "next": None}
        assert client.get("/docs").status_code == 200
    assert "Application shutdown complete" in (clone.path / "output.txt").read_text()


def test_a_failed_download_says_what_to_do_behind_a_proxy(clone: Project) -> None:
    # Within `make test`, make would say which directory it enters.
    environment = {"MAKEFLAGS": None, "PIP_CERT": None, "SSL_CERT_FILE": "/proxy.pem"}
    show = ("--no-print-directory", "--eval", "show: ; @echo $$PIP_CERT", "show")

    certificate = clone.run("make", *show, **environment).stdout
    failed = clone.run(
        *("make", ".tools/bin/uv"), check=False, PIP_NO_INDEX="1", PIP_FIND_LINKS=""
    )

    assert certificate == "/proxy.pem\n"
    assert failed.returncode != 0
    assert "set SSL_CERT_FILE to the CA certificate of the proxy" in failed.stdout


@pytest.mark.usefixtures("port_8000")
def test_the_tutorial_leads_where_it_says(clone: Project) -> None:
    (_, start, _), (_, dev, _), *rest = steps(ROOT / "docs" / "tutorial.md")
    copy, _, git = start.splitlines()
    clone.run("bash", "-c", copy)
    service = Project(clone.path.parent / "my-service")
    service.run(*git.split())
    tested = []

    with service.serve(*dev.split(), port=8000) as client:
        for language, block, path in rest:
            if language == "python":
                (service.path / path).write_text(block)
            elif language == "diff":
                apply(block, service.path / path)
            else:
                for command in block.splitlines():
                    result = service.run("bash", "-c", command, check=False)
                    if command == "uv run pytest":
                        tested.append(result)
                    else:
                        assert result.returncode == 0, (command, result.stdout)
        wait_for_reload(lambda: "/privacy-requests" in client.get("/openapi.json").text)
        body = {"email": "ada@example.com", "kind": "access"}
        created = client.post("/privacy-requests", json=body)

    assert created.status_code == 201
    refused, accepted = tested
    assert re.findall(r"^FAILED \S+::(\w+)", refused.stdout, re.MULTILINE) == [
        "test_the_interface_is_the_one_in_openapi_json"
    ], refused.stdout
    assert accepted.returncode == 0, accepted.stdout


def test_a_service_started_as_the_readme_says_can_be_updated(clone: Project) -> None:
    _, copy = blocks((ROOT / "README.md").read_text(), "console")
    clone.run("bash", "-c", copy.replace("copier copy", "copier copy --defaults"))
    service = Project(clone.path.parent / "my-service")
    commit(service)
    ini = clone.path / "template" / "alembic.ini"
    ini.write_text(f"# The next version.\n{ini.read_text()}")
    clone.git("commit", "--quiet", "--all", "--message", "The next version")

    service.run("uvx", "copier", "update", "--defaults")

    assert "next version" in (service.path / "alembic.ini").read_text()


def test_removing_the_example_by_hand_equals_rendering_without_it(
    render: Render, installed: Render, tmp_path: Path
) -> None:
    text = section(HOW_TO, "Start without the example")
    project = render().copy_with_environment(tmp_path / "project", installed())
    deleted = [
        *("app/items/", "tests/items/", "alembic/versions/"),
        *("app/models/item.py", "app/models/idempotency_key.py"),
    ]
    for path in deleted:
        assert f"`{path}`" in text
        subprocess.run(["rm", "-r", project.path / path], check=True)
    for path, words in (
        ("app/api.py", ["items"]),
        ("app/models/__init__.py", ["Item", "Note", "IdempotencyKey"]),
    ):
        named = ", ".join(f"`{word}`" for word in words)
        assert f"the lines with {named} in `{path}`" in text
        lines = (project.path / path).read_text().splitlines(keepends=True)
        kept = [line for line in lines if not any(word in line for word in words)]
        assert len(lines) - len(kept) > len(words)
        (project.path / path).write_text("".join(kept))
    for command in ("ruff check --fix", "ruff format", "python tests/test_openapi.py"):
        assert f"uv run {command}\n" in text
        project.run(*command.split(), PYTHONPATH=str(project.path))

    without = render(example=False)
    answers_and_text = {Path(".copier-answers.yml"), Path("README.md")}
    paths = {*project.files(), *without.files()} - answers_and_text
    for path in sorted(paths):
        expected = (without.path / path).read_text()
        assert (project.path / path).read_text() == expected, path


# The modules that the how-to shows for a shared client, in its order.
RATES = (
    "app/rates/routes.py",
    "app/rates/schemas.py",
    "app/rates/service.py",
    "tests/rates/test_rates.py",
)
UNAVAILABLE = """

async def test_a_bank_that_is_down_is_a_503(client: AsyncClient) -> None:
    response = await client.get("/rates/usd")

    assert response.status_code == 503
    assert response.json()["detail"] == "The bank is unavailable."
"""


def test_a_client_that_features_share_is_there_in_the_tests_too(
    installed: Render, tmp_path: Path
) -> None:
    project = installed().copy_with_environment(tmp_path / "project")
    shown = blocks(section(HOW_TO, "Share a client"), "python")
    texts = dict(zip(RATES, shown, strict=True))
    texts["tests/rates/test_rates.py"] += UNAVAILABLE
    for path, text in texts.items():
        (project.path / path).parent.mkdir(exist_ok=True)
        (project.path / path).write_text(text)
    config = project.path / "app/core/config.py"
    setting = f'{ANCHOR}\n    BANK_URL: str = "http://127.0.0.1:1"\n'
    config.write_text(config.read_text().replace(f"{ANCHOR}\n", setting))
    api = project.path / "app/api.py"
    api.write_text(
        f"from app.rates import routes as rates\n{api.read_text()}"
        "router.include_router(rates.router)\n"
    )
    environment = {"PYTHONPATH": str(project.path)}

    project.run("ruff", "format", "--quiet")
    project.run("ruff", "check", "--fix", "--quiet")
    project.run("ty", "check")

    project.run("pytest", "-q", "tests/rates", "tests/items", **environment)


FORMS = Path(__file__).parent / "in_service" / "forms.py"
# The imports that the how-to leaves out, and the rest of what it shows.
UPLOADS = """
from fastapi import APIRouter, UploadFile
from pydantic import BaseModel

router = APIRouter(prefix="/photos")


class Photo(BaseModel):
    name: str | None
    size: int
"""
ROWS = """
from itertools import count
from typing import Any

from httpx2 import AsyncClient
from sqlalchemy.ext.asyncio import AsyncSession

from app.models import Item
"""
USES = """

async def test_a_photo_is_accepted_and_a_static_file_is_served(
    client: AsyncClient,
) -> None:
    uploaded = await client.post("/photos", files={"photo": ("a.png", b"x" * 300_000)})

    assert uploaded.json() == {"name": "a.png", "size": 300_000}
    assert (await client.get("/static/robots.txt")).text == "Disallow: /"
"""


SOCKETS = """
from fastapi import APIRouter, WebSocket
from sqlalchemy import select

from app.core.database import read_session_factory
from app.models import Item

router = APIRouter()
"""


def add_streams(project: Project) -> None:
    """Add the event stream, the WebSocket and their tests, as the guides show them."""
    app, tests = project.path / "app", project.path / "tests"
    events = blocks(section(HOW_TO, "Send server-sent events"), "python")
    (app / "changes.py").write_text("\n\n".join(events))
    sockets = blocks(section(HOW_TO, "Use a WebSocket"), "python")
    (app / "sockets.py").write_text("\n\n".join([SOCKETS, *sockets]))
    (test,) = blocks(section(HOW_TO, "Test streams and WebSockets"), "python")
    (tests / "items" / "test_streams.py").write_text(test)
    service = app / "items" / "service.py"
    changed = "    await session.flush()\n    return item\n"
    text = service.read_text().replace(
        changed, f"    await announce(session, item)\n{changed}"
    )
    service.write_text(
        text.replace(
            "from app.core", "from app.changes import announce\nfrom app.core", 1
        )
    )
    api = app / "api.py"
    api.write_text(
        f"from app import changes, sockets\n{api.read_text()}"
        "router.include_router(changes.router)\nrouter.include_router(sockets.router)\n"
    )


def test_uploads_streams_static_files_rows_and_extensions_are_as_the_guides_say(
    installed: Render, tmp_path: Path
) -> None:
    project = installed().copy(tmp_path / "project")
    app = project.path / "app"
    (upload,) = blocks(section(HOW_TO, "Accept uploads"), "python")
    (app / "photos.py").write_text(f"{UPLOADS}\n\n{upload}")
    api = app / "api.py"
    api.write_text(
        f"from app import photos\n{api.read_text()}"
        "router.include_router(photos.router)\n"
    )
    (mount,) = blocks(section(HOW_TO, "Serve static files"), "python")
    (app / "static").mkdir()
    (app / "static" / "robots.txt").write_text("Disallow: /")
    imports = (
        "from pathlib import Path\nfrom starlette.staticfiles import StaticFiles\n"
    )
    main = (app / "main.py").read_text()
    main = main.replace("\nfrom fastapi", f"\n{imports}from fastapi", 1)
    (app / "main.py").write_text(f"{main}{mount}")
    (rows,) = blocks(section(HOW_TO, "Prepare rows for tests"), "python")
    (project.path / "tests/items/test_rows.py").write_text(f"{ROWS}\n{rows}{USES}")
    shutil.copy(FORMS, project.path / "tests/items/test_forms.py")
    (create,) = blocks(section(HOW_TO, "Use an extension of PostgreSQL"), "python")
    add_streams(project)
    project.run("uv", "add", "--quiet", "python-multipart", "websockets")
    project.run("uv", "sync", "--quiet")
    project.run("alembic", "revision", "-m", "Create citext")
    (revision,) = (project.path / "alembic/versions").glob("*create_citext.py")
    revision.write_text(with_upgrade(revision.read_text(), create))

    project.run("ruff", "check", "--quiet", "--fix")
    project.run("ty", "check")
    project.run("pytest", "-q", "tests/items", "tests/test_migrations.py")


def test_the_example_can_be_dropped_from_a_database_that_has_it(
    installed: Render, tmp_path: Path
) -> None:
    text = section(HOW_TO, "Start without the example")
    _, command = blocks(text, "console")
    (drop,) = blocks(text, "python")
    project = installed().copy_with_environment(tmp_path / "project")
    environment = {"PYTHONPATH": str(project.path)}
    project.run("alembic", "upgrade", "head", **environment)
    for path in ("app/items", "tests/items"):
        shutil.rmtree(project.path / path)
    for name in ("item", "idempotency_key"):
        (project.path / "app" / "models" / f"{name}.py").unlink()
    for path in ("app/api.py", "app/models/__init__.py"):
        file = project.path / path
        example = re.compile(
            r"^.*\b(items?|Item|Note|IdempotencyKey)\b.*\n", re.MULTILINE
        )
        file.write_text(example.sub("", file.read_text()))

    project.run(*shlex.split(command)[2:], **environment)
    (revision,) = (project.path / "alembic/versions").glob("*drop_the_example.py")
    comment, call = drop.splitlines()
    assert f"\n    {call}\n" in revision.read_text()
    accepted = revision.read_text().replace("op.drop_t", f"{comment}\n    op.drop_t")
    revision.write_text(accepted)

    project.run("python", "scripts/lint_migrations.py", revision, **environment)
    project.run("ruff", "check", "alembic", **environment)
    project.run("pytest", "-q", "tests/test_migrations.py", **environment)
    upgrade, _ = revision.read_text().split("def downgrade")
    revision.write_text(f"{upgrade}def downgrade() -> None:\n    pass\n")
    irreversible = project.run(
        "pytest", "-q", "tests/test_migrations.py", check=False, **environment
    ).stdout
    assert "A revision cannot be undone:" in irreversible
    assert "Traceback" not in irreversible


def with_upgrade(revision: str, upgrade: str) -> str:
    """Return a generated revision with the function that a page shows."""
    generated = re.compile(r"^def upgrade.*?(?=^def )", re.MULTILINE | re.DOTALL)
    return generated.sub(upgrade, revision)


def test_the_local_postgres_can_be_looked_into(installed: Render) -> None:
    (command,) = (
        block
        for page in HOW_TO
        for block in blocks(page.read_text(), "console")
        if "local_postgres" in block
    )

    psql, url = installed().run("bash", "-c", command).stdout.split()[-2:]

    answer = installed().run(psql, "-qAt", url, "--command=SHOW server_version_num")
    assert int(answer.stdout) >= 180000
    assert Path(psql).with_name("pg_dump").exists()
