"""Lists of a first copy are found by their keys: their values are counted, and no other index begins like the key.

Revision ID: 0016
"""

from pathlib import Path

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_SQL = Path(__file__).parent.parent / "sql"


def upgrade() -> None:
    """Grant the counting and make the index a partial one, as banyan_owner."""
    script = (_SQL / "0016_lists.sql").read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(script, execution_options={"no_parameters": True})


def downgrade() -> None:
    """Take the grants back and give the index all rows again."""
    op.get_bind().exec_driver_sql(
        "revoke maintain on mig.filtered_row, mig.quarantine, mig.retention_term from banyan_forward;"
        " drop index mig.filtered_row_parent;"
        " create index filtered_row_parent on mig.filtered_row (department_code, source_table_no, parent_key)"
    )
