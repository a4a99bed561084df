"""Keys read from the log of a legacy system, hashes of rows as they were carried, and the pace of reading.

Revision ID: 0006
"""

from pathlib import Path

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_SQL = Path(__file__).parent.parent / "sql"


def upgrade() -> None:
    """Create the tables, as banyan_owner."""
    script = (_SQL / "0006_pace.sql").read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(script, execution_options={"no_parameters": True})


def downgrade() -> None:
    """Forget them: changes that were not carried yet must then be found by comparing the tables."""
    op.get_bind().exec_driver_sql("drop table mig.log_place, mig.log_key, mig.row_mark, mig.pace")
