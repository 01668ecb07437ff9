"""The released versions of the template, and the one that is being made."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import copier

from tests.harness.processes import once
from tests.harness.project import ROOT, Project

RELEASES: dict[str, str] = tomllib.loads(
    (ROOT / "tests" / "update" / "releases.toml").read_text()
)
WORKING_TREE = "1000.0.0"
TOMORROW = "1001.0.0"
# An answer to a question that a version did not ask yet is ignored.
ANSWERS = {
    "project_name": "Privacy Rights API",
    "description": 'It\'s "private".',
    "ci": "github",
}
# Of the team from the first day on, but not Python.
RENDERED_ONCE = [
    ".coveragerc",
    ".dockerignore",
    ".github/dependabot.yml",
    ".github/workflows/image.yml",
    ".gitlab-ci.yml",
    "Dockerfile.jinja",
    "compose.yaml.jinja",
]


def make_history(path: Path) -> Project:
    """Clone this repository with a tag for each release, the working tree, and tomorrow.

    Tomorrow is a version that changes every file of the template next to where teams
    make their changes, and asks a question more.
    """
    history = Project(path)
    subprocess.run(["git", "clone", "--quiet", "--no-tags", ROOT, path], check=True)
    history.git("switch", "--quiet", "--detach")
    for version, commit in RELEASES.items():
        history.git("tag", f"v{version}", commit)
    for name in ("template", "includes"):
        shutil.rmtree(path / name, ignore_errors=True)
        ignore = shutil.ignore_patterns("__pycache__", ".ruff_cache")
        shutil.copytree(ROOT / name, path / name, ignore=ignore)
    for name in ("copier.yml", "CHANGELOG.md"):
        shutil.copy(ROOT / name, path / name)
    release(history, WORKING_TREE)
    change_everything(path)
    release(history, TOMORROW)
    return history


def release(history: Project, version: str) -> None:
    history.git("add", "--all")
    history.git("commit", "--quiet", "--allow-empty", "--message", version)
    history.git("tag", f"v{version}")


def change_everything(path: Path) -> None:
    """Change the template as a later version could: above the anchors, and around them."""
    template = path / "template"
    for file in sorted([*template.rglob("*.py"), *template.rglob("*.py.jinja")]):
        text = file.read_text()
        if text.startswith('"""'):
            file.write_text(text.replace('"""\n', ' As of tomorrow."""\n', 1))
    above = {
        "app/core/config.py.jinja": (
            "    # Yours from",
            "    TOMORROW: bool = True\n\n",
        ),
        "app/main.py": ("    # Yours between", "    await asyncio.sleep(0)\n"),
        ".gitignore.jinja": ("# Yours from", "tomorrow/\n"),
        ".env.example.jinja": ("# Yours from", "TOMORROW=true\n"),
        ".github/workflows/update.yml": ("# Yours from", "      - run: uv --version\n"),
        "pyproject.toml.jinja": ("    # Yours from", '    "packaging",\n'),
    }
    for name, (anchor, line) in above.items():
        file = template / name
        text = file.read_text()
        assert anchor in text, name
        file.write_text(text.replace(anchor, line + anchor, 1))
    checks = template / ".github" / "workflows" / "template-checks.yml"
    text = checks.read_text()
    step = "      - run: uv lock --check\n"
    assert step in text
    checks.write_text(text.replace(step, f"{step}      - run: uv tree --locked\n"))
    for name in RENDERED_ONCE:
        file = template / name
        file.write_text(f"# As of tomorrow.\n{file.read_text()}")
    main = template / "app" / "main.py"
    text = main.read_text().replace('"""\n\n', '"""\n\nimport asyncio\n', 1)
    main.write_text(
        text.replace("set_up(app)\n", "set_up(app)\napp.state.tomorrow = True\n")
    )
    changelog = path / "CHANGELOG.md"
    changelog.write_text(
        changelog.read_text().replace(
            "\n## ",
            f"\n## {TOMORROW}\n\n- Everything changes.\n\n## {WORKING_TREE}\n\n"
            "- The working tree.\n\n## ",
            1,
        )
    )
    (template / "app" / "core" / "tomorrow.py").write_text('"""New."""\n')
    questions = path / "copier.yml"
    questions.write_text(
        questions.read_text()
        + "\ntomorrow:\n  type: bool\n  help: Is it tomorrow?\n  default: true\n"
    )


def start(history: Project, path: Path, version: str, **answers: object) -> Project:
    """Return a project rendered from a version, which nobody has worked on yet."""
    arguments = {**ANSWERS, **answers}
    key = " ".join([version, *(f"{name}={value}" for name, value in arguments.items())])
    rendered = Project(history.path.parent / key.replace("/", "-"))
    with once(rendered.path) as is_first:
        if is_first:
            copier.run_copy(
                str(history.path),
                rendered.path,
                arguments,
                vcs_ref=f"v{version}",
                defaults=True,
                quiet=True,
            )
    return rendered.copy(path)


def commit(project: Project) -> None:
    project.git("init", "--quiet")
    project.git("add", "--all")
    project.git("commit", "--quiet", "--allow-empty", "--message", "Work")


def update(project: Project, version: str, **answers: object) -> None:
    """Update as `copier update --defaults --data` does, without trusting the template."""
    copier.run_update(
        project.path,
        answers,
        vcs_ref=f"v{version}",
        defaults=True,
        overwrite=True,
        quiet=True,
    )


def assert_clean(project: Project) -> None:
    """Nothing unmerged, no rejected hunk, no marker. Copier exits with 0 even so."""
    assert project.git("ls-files", "--unmerged") == ""
    for path in project.files():
        assert path.suffix != ".rej", path
        if path.name != "output.txt":
            text = (project.path / path).read_text()
            assert not re.search(r"^(<<<<<<<|>>>>>>>) ", text, re.MULTILINE), path
