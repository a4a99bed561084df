"""Waivers approved by a second person, and the bucket digests of the tripwire.

Revision ID: 0004
"""

from pathlib import Path

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_SQL = Path(__file__).parent.parent / "sql"


def upgrade() -> None:
    """Create and complete the tables, as banyan_owner."""
    script = (_SQL / "0004_judgement.sql").read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(script, execution_options={"no_parameters": True})


def downgrade() -> None:
    """Refuse: waivers are kept for good."""
    raise NotImplementedError("what people accepted is never forgotten; drop the database instead")
