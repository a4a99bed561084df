"""Parts of rows whose identifier does not follow from their legacy key are listed, so that no others are asked for.

Revision ID: 0018
"""

from pathlib import Path

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_SQL = Path(__file__).parent.parent / "sql"


def upgrade() -> None:
    """Make the table, its rights, and what it lists of departments that were written back, as banyan_owner."""
    script = (_SQL / "0018_adopted_part.sql").read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(script, execution_options={"no_parameters": True})


def downgrade() -> None:
    """Drop the table: the links it chooses from are all kept, and are all asked for again."""
    op.execute("drop table mig.adopted_part")
