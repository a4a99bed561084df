"""The first copy may name a partition, where the same fence stands; lists check their legacy table once a statement.

Revision ID: 0009
"""

from pathlib import Path

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_SQL = Path(__file__).parent.parent / "sql"


def upgrade() -> None:
    """Fit the partitions anew and replace the foreign keys of the lists, as banyan_owner."""
    script = (_SQL / "0009_first_copy.sql").read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(script, execution_options={"no_parameters": True})


def downgrade() -> None:
    """Refuse: a store whose applier names partitions would be closed to its first copies."""
    raise NotImplementedError("revision 0009 is not taken back; restore the store instead")
