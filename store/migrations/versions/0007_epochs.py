"""Why a row is gone, the epochs of keys used again, indexes of reading, and an outbox that does not grow for ever.

Revision ID: 0007
"""

from pathlib import Path

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_SQL = Path(__file__).parent.parent / "sql"


def upgrade() -> None:
    """Add the column, the table and both functions, as banyan_owner."""
    script = (_SQL / "0007_epochs.sql").read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(script, execution_options={"no_parameters": True})


def downgrade() -> None:
    """Refuse: epochs of keys, once given, are identities of records."""
    raise NotImplementedError("revision 0007 holds why rows are gone; restore the store instead")
