"""Revisions that a team adds to a project."""

import re
from collections.abc import Sequence

from tests.harness.project import Project

VERSIONS = "alembic/versions"
REVISION = '''"""{revision}."""

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{down_revision}"


{upgrade}

def downgrade() -> None:
    pass
'''


def newest_revision(project: Project) -> str:
    output = project.run("alembic", "heads").stdout
    (head,) = re.findall(r"^(\w+) \(head\)", output, re.MULTILINE)
    return head


def add_revision(project: Project, upgrade: str, head: str, name: str) -> str:
    path = project.path / VERSIONS / f"2026_03_01_0900-{name}.py"
    path.write_text(REVISION.format(revision=name, down_revision=head, upgrade=upgrade))
    return name


def lint_revisions(project: Project, names: Sequence[str], url: str) -> None:
    """Fail with what the project's linter finds, which runs the revisions at `url`."""
    paths = [f"{VERSIONS}/2026_03_01_0900-{name}.py" for name in names]
    command = ("python", "scripts/lint_migrations.py", *paths)
    project.run(*command, DATABASE_URL=url)
