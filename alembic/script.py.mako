<%
    def quoted(ids):
        return repr(ids).replace("'", '"')
%>"""${message}

What changes, and why:

Revision ID: ${up_revision}
Revises: ${down_revision | comma,n}
Create Date: ${create_date}
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
${imports + "\n" if imports else ""}\

revision: str = ${quoted(up_revision)}
down_revision: str | Sequence[str] | None = ${quoted(down_revision)}
branch_labels: str | Sequence[str] | None = ${quoted(branch_labels)}
depends_on: str | Sequence[str] | None = ${quoted(depends_on)}


def upgrade() -> None:
    """Move the schema forward."""
% if upgrades:
    ${upgrades}
% else:
    # Change data with op.execute(sa.text("UPDATE …")); a bare string is no statement.
    pass
% endif


def downgrade() -> None:
    """Undo what upgrade() did."""
    ${downgrades if downgrades else "pass"}
