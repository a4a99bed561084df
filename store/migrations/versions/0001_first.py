"""The first store: schemas, tables, fence, outbox, hash chains and the rights of each role.

The SQL stands beside this file and never changes after its release: a later change is a later revision.

Revision ID: 0001
"""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_SQL = Path(__file__).parent.parent / "sql"
_FILES = ("0001_schemas", "0001_control", "0001_canonical", "0001_functions", "0001_rights")


def upgrade() -> None:
    """Create everything, as banyan_owner."""
    connection = op.get_bind()
    for name in _FILES:
        script = (_SQL / f"{name}.sql").read_text(encoding="utf-8")
        connection.exec_driver_sql(script, execution_options={"no_parameters": True})


def downgrade() -> None:
    """Refuse: the first revision holds the records themselves."""
    raise NotImplementedError("the first revision is never taken back; drop the database instead")
