"""A row with links keeps its main record in mig.lineage, and marks of the tripwire are pruned.

Revision ID: 0008
"""

from pathlib import Path

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_SQL = Path(__file__).parent.parent / "sql"


def upgrade() -> None:
    """Replace the view and add the function, as banyan_owner."""
    script = (_SQL / "0008_lineage.sql").read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(script, execution_options={"no_parameters": True})


def downgrade() -> None:
    """Refuse: marks that were pruned do not come back."""
    raise NotImplementedError("revision 0008 is not taken back; restore the store instead")
