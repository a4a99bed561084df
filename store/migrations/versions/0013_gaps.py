"""Tables whose capture was repaired wait, by name, until every row of them is read again.

Revision ID: 0013
"""

from pathlib import Path

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_SQL = Path(__file__).parent.parent / "sql"


def upgrade() -> None:
    """Make the table and its rights, as banyan_owner."""
    script = (_SQL / "0013_gaps.sql").read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(script, execution_options={"no_parameters": True})


def downgrade() -> None:
    """Remove the table."""
    op.get_bind().exec_driver_sql("drop table mig.capture_gap", execution_options={"no_parameters": True})
