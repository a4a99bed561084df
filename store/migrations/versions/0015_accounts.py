"""What a run says of its rows: keys in flight as a list, chunks of the way back before their commit, both equations.

Revision ID: 0015
"""

from pathlib import Path

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_SQL = Path(__file__).parent.parent / "sql"


def upgrade() -> None:
    """Complete the tables and the view, as banyan_owner."""
    script = (_SQL / "0015_accounts.sql").read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(script, execution_options={"no_parameters": True})


def downgrade() -> None:
    """Refuse: an open way back would count rows that the old system never committed."""
    raise NotImplementedError("what an open run intends is not forgotten; restore the store from its backup")
