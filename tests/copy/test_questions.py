"""What a person is asked, and what becomes of awkward answers."""

import ast
import inspect
import json
import subprocess
import tomllib
from itertools import cycle
from pathlib import Path

import pytest
import yaml
from copier._main import Worker
from copier._user_data import Question
from markdown_it import MarkdownIt

from tests.harness.answers import (
    CONFIGURATION,
    DESCRIPTIONS_TO_REFUSE,
    DESCRIPTIONS_TO_RENDER,
    NAMES_TO_REFUSE,
    NAMES_TO_RENDER,
    NAMES_WITHOUT_SLUG,
    QUESTIONS,
    SLUGS_OF_NAMES,
    SLUGS_TO_REFUSE,
    SLUGS_TO_RENDER,
    answer,
)
from tests.harness.combinations import ALL
from tests.harness.project import ROOT, Project
from tests.harness.types import Render

SLUG_QUESTION = (
    "What is the name of the service's Python distribution, in lower case with hyphens?"
)
# https://copier.readthedocs.io/en/stable/configuring/#available-settings, without what
# needs trust: tasks, migrations and Jinja extensions.
SETTINGS = {
    "_answers_file",
    "_envops",
    "_exclude",
    "_external_data",
    "_message_after_copy",
    "_message_after_update",
    "_message_before_copy",
    "_message_before_update",
    "_min_copier_version",
    "_preserve_symlinks",
    "_secret_questions",
    "_skip_if_exists",
    "_subdirectory",
    "_templates_suffix",
}


def test_every_key_is_one_that_copier_knows() -> None:
    settings = {name for name in CONFIGURATION if name[0] == "_"}
    keys = {key for question in QUESTIONS.values() for key in question}

    assert settings <= SETTINGS
    assert keys <= set(inspect.signature(Question).parameters)


def test_there_are_at_most_ten_questions_and_each_says_what_it_wants() -> None:
    assert len(QUESTIONS) <= 10
    for name, question in QUESTIONS.items():
        assert question["help"], name
        if question["type"] == "str" and "choices" not in question:
            assert question["placeholder"], name
            assert question["validator"], name


def test_no_trust_is_needed(template: Path, tmp_path: Path) -> None:
    project = answer(template, tmp_path / "project")

    assert (project.path / "app" / "main.py").exists()


def test_rendering_twice_gives_the_same_files(template: Path, tmp_path: Path) -> None:
    one = answer(template, tmp_path / "one")
    two = answer(template, tmp_path / "two")

    assert one.files() == two.files()
    for path in one.files():
        assert (one.path / path).read_bytes() == (two.path / path).read_bytes(), path


@pytest.mark.parametrize("name", NAMES_TO_REFUSE)
def test_a_name_that_could_break_something_is_refused(
    template: Path, tmp_path: Path, name: str
) -> None:
    with pytest.raises(ValueError, match="Use 1 to 50 letters and digits") as refusal:
        answer(template, tmp_path / "project", project_name=name, project_slug="x")

    assert fits(refusal)
    assert not (tmp_path / "project").exists()


@pytest.mark.parametrize("slug", SLUGS_TO_REFUSE)
def test_a_slug_that_could_break_something_is_refused(
    template: Path, tmp_path: Path, slug: str
) -> None:
    with pytest.raises(ValueError, match="lower-case letters|depends on") as refusal:
        answer(template, tmp_path / "project", project_slug=slug)

    assert fits(refusal)
    assert not (tmp_path / "project").exists()


@pytest.mark.parametrize("description", DESCRIPTIONS_TO_REFUSE)
def test_a_description_that_is_not_one_line_is_refused(
    template: Path, tmp_path: Path, description: str
) -> None:
    with pytest.raises(ValueError, match="Use one line of 1 to 200") as refusal:
        answer(template, tmp_path / "project", description=description)

    assert fits(refusal)
    assert not (tmp_path / "project").exists()


@pytest.mark.parametrize("slug", SLUGS_TO_RENDER)
def test_a_slug_is_rendered_exactly_and_can_be_resolved(
    template: Path, tmp_path: Path, slug: str
) -> None:
    project = answer(template, tmp_path / "project", project_slug=slug)

    project.run("uv", "lock", "--quiet")

    pyproject = tomllib.loads((project.path / "pyproject.toml").read_text())
    assert pyproject["project"]["name"] == slug


# The names come round again until each description has been rendered.
@pytest.mark.parametrize(
    ("name", "description"), [*zip(cycle(NAMES_TO_RENDER), DESCRIPTIONS_TO_RENDER)]
)
def test_a_name_and_a_description_are_rendered_exactly(
    template: Path, tmp_path: Path, name: str, description: str
) -> None:
    project = answer(
        template,
        tmp_path / "project",
        project_name=name,
        project_slug="x",
        description=description,
    )

    assert setting(project, "APP_TITLE") == name
    assert setting(project, "APP_DESCRIPTION") == description
    assert readme(project)[:2] == [name, description]

    pyproject = tomllib.loads((project.path / "pyproject.toml").read_text())
    assert pyproject["project"]["description"] == description
    answers = yaml.safe_load((project.path / ".copier-answers.yml").read_text())
    assert answers["description"] == description


@pytest.mark.parametrize(
    ("name", "description", "spdx", "shown"),
    [
        (
            *("Café 数据", '"It\'s" 100 % {{ 7 * 7 }} \\n 🚀'),
            *("Apache-2.0", "Apache-2.0"),
        ),
        ("null", "<b>'\"'</b>", "proprietary", "Proprietary"),
    ],
)
def test_the_openapi_document_says_exactly_what_was_answered(
    template: Path,
    tmp_path: Path,
    installed: Render,
    name: str,
    description: str,
    spdx: str,
    shown: str,
) -> None:
    project = answer(
        template,
        tmp_path / "project",
        project_name=name,
        project_slug="x",
        description=description,
        license=spdx,
    )
    program = "import json; from app.main import app; print(json.dumps(app.openapi()))"

    result = project.run(
        installed().path / ".venv" / "bin" / "python",
        *("-c", program),
        DATABASE_URL="postgresql://nobody@127.0.0.1/none",
        PYTHONPATH=str(project.path),
    )

    info = json.loads(result.stdout)["info"]
    rendered = json.loads((project.path / "openapi.json").read_text())["info"]
    assert info == rendered
    assert info == {
        "title": name,
        "description": description,
        "version": "0.1.0",
        "license": {"name": shown},
    }


@pytest.mark.parametrize(("name", "slug"), SLUGS_OF_NAMES.items())
def test_the_slug_follows_from_the_name(template: Path, name: str, slug: str) -> None:
    assert asked_for_slug(template, name) == (SLUG_QUESTION, slug)


@pytest.mark.parametrize("name", NAMES_WITHOUT_SLUG)
def test_a_name_that_gives_no_slug_is_a_reason_to_choose_one(
    template: Path, name: str
) -> None:
    question, default = asked_for_slug(template, name)

    assert (
        question == f"{SLUG_QUESTION} “{name}” gives no valid one: choose it yourself."
    )
    assert default == "my-service"


def asked_for_slug(template: Path, name: str) -> tuple[str, str]:
    """Return the question for the slug and its default, as Copier shows them."""
    question = QUESTIONS["project_slug"]
    with Worker(str(template), quiet=True) as worker:
        show = worker.jinja_env.from_string
        return (
            show(question["help"]).render(project_name=name),
            show(question["default"]).render(project_name=name),
        )


def test_the_default_slug_is_rendered(template: Path, tmp_path: Path) -> None:
    project = answer(template, tmp_path / "project", project_name="Пошта 2")

    pyproject = tomllib.loads((project.path / "pyproject.toml").read_text())
    assert pyproject["project"]["name"] == "poshta-2"


def test_every_dependency_of_a_service_is_a_reserved_name(
    render: Render, tmp_path: Path
) -> None:
    """Whatever was answered: each different list of dependencies is locked."""
    reserved = (ROOT / "includes" / "answers.jinja").read_text()
    projects = {}
    for answers in ALL:
        project = render(**answers)
        pyproject = tomllib.loads((project.path / "pyproject.toml").read_text())
        named = pyproject["project"]["dependencies"], pyproject["dependency-groups"]
        projects[str(named)] = project

    for number, project in enumerate(projects.values()):
        copy = project.copy(tmp_path / str(number))
        copy.run("uv", "lock", "--quiet")
        lock = tomllib.loads((copy.path / "uv.lock").read_text())
        names = {package["name"] for package in lock["package"]} - {"my-service"}
        assert {name for name in names if f'"{name}"' not in reserved} == set()
    assert len(projects) > 1


def test_a_refusal_is_a_sentence_on_the_last_line(
    template: Path, tmp_path: Path
) -> None:
    command = ["copier", "copy", "--defaults", "--data", "project_slug=fastapi"]
    result = subprocess.run(
        [*command, template, tmp_path / "project"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode != 0
    assert "a package that the service depends on" in result.stderr.splitlines()[-1]


def fits(refusal: pytest.ExceptionInfo[ValueError]) -> bool:
    """Return whether a sentence fits into a line of a terminal."""
    return len(str(refusal.value).partition(": ")[2]) <= 80


def setting(project: Project, name: str) -> object:
    """Return the default of a setting, from a file that is formatted and lint-clean."""
    path = project.path / "app" / "core" / "config.py"
    project.run("ruff", "format", "--check", path)
    project.run("ruff", "check", path)
    (field,) = (
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.AnnAssign) and getattr(node.target, "id", "") == name
    )
    return ast.literal_eval(field.value.keywords[0].value)


def readme(project: Project) -> list[str]:
    """Return the texts of the heading and the first paragraph, as a reader sees them."""
    tokens = MarkdownIt("js-default").parse((project.path / "README.md").read_text())
    texts = []
    for token in [token for token in tokens if token.type == "inline"][:2]:
        kinds = {child.type for child in token.children}
        assert kinds <= {"text", "text_special"}, token.content
        texts.append("".join(child.content for child in token.children))
    return texts
