"""What stewards decided about quarantined values, and the columns a legacy system had when it was first copied.

Revision ID: 0003
"""

from pathlib import Path

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_SQL = Path(__file__).parent.parent / "sql"


def upgrade() -> None:
    """Create both tables, as banyan_owner."""
    script = (_SQL / "0003_decisions.sql").read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(script, execution_options={"no_parameters": True})


def downgrade() -> None:
    """Refuse: loaded records rest on these decisions."""
    raise NotImplementedError("decisions about values are never forgotten; undo them one by one instead")
