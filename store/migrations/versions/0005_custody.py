"""Columns of custody, documents and logbook, the lines of code tables, and until when rows may be kept.

Revision ID: 0005
"""

from pathlib import Path

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_SQL = Path(__file__).parent.parent / "sql"


def upgrade() -> None:
    """Add the columns and both tables, as banyan_owner; each known department gets its partition."""
    script = (_SQL / "0005_custody.sql").read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(script, execution_options={"no_parameters": True})


def downgrade() -> None:
    """Refuse: the columns hold what records say."""
    raise NotImplementedError("revision 0005 holds records; restore the store instead")
