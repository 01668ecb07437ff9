"""Features that are copied under another name, and used with the project's own commands."""

import re
from pathlib import Path

import pytest

from tests.harness.pages import apply, steps
from tests.harness.project import ROOT, Project
from tests.harness.types import Render

LIKE_ITEM = [
    "line_item",
    "item_list",
    "item_note",
    "order",  # a word of SQL, and of the code
    "session",  # a parameter of every function that would have such a variable
    "case",  # a soft keyword
    "property",  # a builtin
    "address",
    "person --plural people",
    "news --plural news",
]
LIKE_PRIVACY_REQUEST = [
    "complaint",
    "request",  # a variable of the code
    "privacy_policy",
    "user_privacy_request",
    "history",  # an attribute of the code
    "status_report",
    "api_key",
    "bonus --plural bonuses",
    "child --plural children",
    "x",
]
COPIES_OF_COPIES = [
    "invoice --like order",
    "employee --like person --like-plural people",
]
FEATURES = [
    *(f"{name} --like item" for name in LIKE_ITEM),
    *(f"{name} --like privacy_request" for name in LIKE_PRIVACY_REQUEST),
    *COPIES_OF_COPIES,
]
# In words and names that overlap with the feature's, and in what only looks like them.
CODE = '''

# Itemize the item: itemized items, an item-wise list and a line item.
ITEMS = {"items": 1, "item_id": 2, "/items": 3}


class Shape(StrEnum):
    ITEM = "item"


def label_item(item_id: int, fields: dict[str, int], items: list[Item]) -> list[str]:
    """Return what `label_item` says. An item is said first. See app/items/routes.py."""
    query = text("SELECT count(*) FROM item JOIN note ON note.item_id = item.id")
    query.bindparams(bindparam("some_item", {"some_item": item_id}["some_item"]))
    page = {"items": [str(query)], "next": sorted(items, key=lambda item: item.name)}
    return [f"Item {item_id} of {len(page['items'])} items: {key!r:>{item_id}} {{item}}"
            for key, item in fields.items() if "items" in page and page.get("items")]
'''
COPIED = '''

# Itemize the line item: itemized line items, a line-item-wise list and a line item.
LINE_ITEMS = {"items": 1, "line_item_id": 2, "/line-items": 3}


class LineItemShape(StrEnum):
    LINE_ITEM = "line_item"


def label_line_item(
    line_item_id: int, fields: dict[str, int], line_items: list[LineItem]
) -> list[str]:
    """Return what `label_line_item` says. A line item is said first. See app/line_items/routes.py."""
    query = text(
        "SELECT count(*) FROM line_item JOIN line_item_note ON line_item_note.line_item_id = line_item.id"
    )
    query.bindparams(
        bindparam("some_line_item", {"some_line_item": line_item_id}["some_line_item"])
    )
    page = {
        "items": [str(query)],
        "next": sorted(line_items, key=lambda line_item: line_item.name),
    }
    return [
        f"Line item {line_item_id} of {len(page['items'])} line items: {key!r:>{line_item_id}} {{line_item}}"
        for key, line_item in fields.items()
        if "items" in page and page.get("items")
    ]
'''


def follow_tutorial(project: Project) -> None:
    """Add the feature that the tutorial builds."""
    for language, block, path in steps(ROOT / "docs" / "tutorial.md"):
        file = project.path / path
        if language == "python":
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block)
        elif language == "diff":
            apply(block, file)
    (project.path / "app" / "privacy_requests" / "__init__.py").touch()


def copy(project: Project, arguments: str) -> str:
    return project.run("python", "scripts/new_feature.py", *arguments.split()).stdout


def test_copies_of_the_example_and_of_the_tutorial_s_feature_pass_all_checks(
    render: Render, tmp_path: Path
) -> None:
    project = render().copy(tmp_path / "project")
    follow_tutorial(project)
    project.git("init", "--quiet")
    project.run("uv", "sync", "--quiet")

    outputs = [copy(project, arguments) for arguments in FEATURES]
    revise, accept = re.findall(r"^ +(uv run .*)$", outputs[-1], re.MULTILINE)
    project.run("ruff", "format", "--check")
    project.run("ruff", "check")
    project.run("ty", "check")
    project.run("bash", "-c", revise)
    tests = project.run("bash", "-c", f"{accept} -q --durations=3 --ignore=tests/core")

    folders = [{p.name for p in (project.path / d).iterdir()} for d in ("app", "tests")]
    before = {"__pycache__", "core", "models", "items", "privacy_requests"}
    made = set.intersection(*folders) - before
    assert len(made) == len(FEATURES)
    assert "passed" in tests.stdout


@pytest.fixture
def service(render: Render, installed: Render, tmp_path: Path) -> Project:
    """A service that has the programs of another, for what does not import it."""
    return render().copy_with_environment(tmp_path / "service", installed())


def contents(project: Project) -> dict[Path, str]:
    return {path: (project.path / path).read_text() for path in project.files()}


def refusal(project: Project, arguments: str) -> str:
    """Return why a copy is refused, after checking that nothing has changed."""
    before = contents(project)
    command = ("python", "scripts/new_feature.py", *arguments.split())
    result = project.run(*command, check=False)
    assert result.returncode == 1, result.stdout
    assert contents(project) == before
    return result.stdout.strip()


def test_only_the_name_of_the_feature_is_replaced(service: Project) -> None:
    file = service.path / "app" / "items" / "service.py"
    imports = "from enum import StrEnum\n\nfrom sqlalchemy import text\n"
    file.write_text(
        file.read_text().replace("import uuid\n", f"{imports}import uuid\n") + CODE
    )
    service.run("ruff", "check", "--fix", "--quiet", "app/items")

    copy(service, "line_item --like item")

    copied = (service.path / "app" / "line_items" / "service.py").read_text()
    assert copied.endswith(COPIED)


def test_a_copy_of_a_protected_feature_has_permissions_of_its_own(
    render: Render, installed: Render, tmp_path: Path
) -> None:
    service = render(auth="oidc").copy_with_environment(
        tmp_path / "protected", installed()
    )

    copy(service, "line_item --like item")

    routes = (service.path / "app" / "line_items" / "routes.py").read_text()
    assert re.findall(r"\w+:(?:read|write)", routes) == [
        "line_items:read",
        *["line_items:write"] * 4,
    ]


def test_a_name_that_is_in_use_in_the_code_gets_an_underscore(service: Project) -> None:
    file = service.path / "app" / "items" / "service.py"
    # As in services that were created before 0.13.
    file.write_text(file.read_text().replace("PAGES", "ITEMS"))

    copy(service, "order --like item")

    copied = (service.path / "app" / "orders" / "service.py").read_text()
    assert "\nORDERS_ = CompiledPages(\n" in copied
    assert "await ORDERS_.get(" in copied
    assert "orders=ORDERS," in copied


def test_fixtures_and_helpers_of_the_service_stay_and_are_named(
    service: Project,
) -> None:
    with (service.path / "tests" / "conftest.py").open("a") as conftest:
        conftest.write("\n\n@pytest.fixture\ndef item() -> str:\n    return 'Lamp'\n")
    with (service.path / "tests" / "items" / "test_items.py").open("a") as tests:
        tests.write("\n\ndef test_an_item(item: str) -> None:\n    assert item\n")

    output = copy(service, "order --like item")

    copied = (service.path / "tests" / "orders" / "test_orders.py").read_text()
    assert "def test_an_order(item: str) -> None:\n    assert item\n" in copied
    assert "Not renamed:\n  tests.conftest.item\n" in output


def test_a_feature_is_copied_without_the_example(service: Project) -> None:
    follow_tutorial(service)
    for path in ("app/items", "tests/items", "app/models/item.py"):
        service.run("rm", "-r", path)
    for path, words in (
        ("app/api.py", ("items",)),
        ("app/models/__init__.py", ("Item", '"Note"')),
    ):
        lines = (service.path / path).read_text().splitlines(keepends=True)
        kept = [line for line in lines if not any(word in line for word in words)]
        (service.path / path).write_text("".join(kept))

    copy(service, "complaint --like privacy_request")

    service.run("ruff", "check")
    service.run("ruff", "format", "--check")
    service.run("ty", "check", "--python", ".venv/bin/python")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("LineItem", "'LineItem' is not a name for a feature: use lower-case words"),
        ("line-item", "'line-item' is not a name for a feature: use lower-case words"),
        ("class", "class is a reserved word"),
        ("x --plural import", "import is a reserved word"),
        ("alembic_version", "alembic_version is a reserved word"),
        ("core", "core is a reserved word"),
        ("main_thing --plural main", "main is a reserved word"),
        ("bus", "What is the plural of bus? Add --plural."),
        ("item", "app/items already exists"),
        ("model", "models is a reserved word"),
        ("idempotency_key", "app/models/idempotency_key.py already exists"),
        ("note", "app/models/item.py already has Note"),
        ("timestamp_mixin", "app/models/base.py already has"),
        ("page", "Item would be copied as Page, a name that its code already uses"),
        ("list", "app/models/__init__.py uses list"),
        ("type", "The tests would be in test_types.py, as there is tests/core"),
    ],
)
def test_a_name_that_cannot_be_used_is_refused(
    service: Project, arguments: str, reason: str
) -> None:
    assert refusal(service, f"{arguments} --like item").startswith(reason)


def test_a_feature_that_does_not_exist_is_refused_with_those_that_do(
    service: Project, render: Render, installed: Render, tmp_path: Path
) -> None:
    without = render(example=False).copy_with_environment(
        tmp_path / "without", installed()
    )

    some = refusal(service, "order --like cart")
    none = refusal(without, "order --like item")

    missing = "There is no app/models/{}.py. The features of this service: {}."
    assert (some, none) == (
        missing.format("cart", "item"),
        missing.format("item", "none"),
    )


def test_a_feature_that_shares_a_relationship_is_refused(service: Project) -> None:
    model = service.path / "app" / "models" / "item.py"
    owner = '    owner: Mapped["Owner"] = relationship(back_populates="items")\n'
    text = model.read_text()
    model.write_text(
        text.replace("    quantity: Mapped", f"{owner}    quantity: Mapped")
    )

    assert refusal(service, "order --like item").startswith(
        "Item.owner has another side"
    )


def test_a_dry_run_shows_what_a_run_does(service: Project) -> None:
    before = contents(service)

    shown = copy(service, "order --like item --dry-run")
    unchanged = contents(service)
    done = copy(service, "order --like item")

    after = contents(service)
    created = done.split("\n\n")[0].removeprefix("Created:")
    assert unchanged == before
    assert {Path(line) for line in created.split()} == after.keys() - before.keys()
    assert shown.startswith(f"Would create:{created}\n")
    for path in before:
        old = before[path].splitlines()
        for line in after[path].splitlines():
            assert line in old or f"\n+{line}\n" in shown


def test_a_copy_that_cannot_be_finished_leaves_nothing(service: Project) -> None:
    with (service.path / "pyproject.toml").open("a") as settings:
        settings.write("\n[tool.ruff.format]\nunknown = true\n")

    assert refusal(service, "order --like item").startswith(
        "Ruff cannot format the copy"
    )
