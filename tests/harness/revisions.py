"""Revisions that a team adds to a project."""

import re

from tests.harness.project import Project

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
    path = project.path / "alembic" / "versions" / f"2026_03_01_0900-{name}.py"
    path.write_text(REVISION.format(revision=name, down_revision=head, upgrade=upgrade))
    project.run("python", "scripts/lint_migrations.py", path)
    return name
