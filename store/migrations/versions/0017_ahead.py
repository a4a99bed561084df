"""Rows of tables without transactions are noted before the way back writes them.

Revision ID: 0017
"""

from pathlib import Path

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_SQL = Path(__file__).parent.parent / "sql"


def upgrade() -> None:
    """Make the table and its rights, as banyan_owner."""
    script = (_SQL / "0017_ahead.sql").read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(script, execution_options={"no_parameters": True})


def downgrade() -> None:
    """Refuse: rows that a death left written in the old system would be taken for those of somebody else."""
    raise NotImplementedError("what an open way back has noted is not forgotten; restore the store from its backup")
