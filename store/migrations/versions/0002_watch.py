"""The watchdog's heartbeat, and the accounts it has seen write in a legacy system.

Revision ID: 0002
"""

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_SQL = Path(__file__).parent.parent / "sql"


def upgrade() -> None:
    """Create both tables, as banyan_owner."""
    script = (_SQL / "0002_watch.sql").read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(script, execution_options={"no_parameters": True})


def downgrade() -> None:
    """Forget both: they hold no record and no decision."""
    op.get_bind().exec_driver_sql("drop table mig.seen_writer, mig.guard_beat")
