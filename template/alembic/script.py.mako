"""${message}."""

## A merge has two parents and nothing to do.
% if not isinstance(down_revision, tuple):
% if not upgrades or "sa." in upgrades + downgrades or "op." not in upgrades:
import sqlalchemy as sa
% endif
from alembic import op
% endif
${imports if imports else ""}

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
