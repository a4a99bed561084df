"""A change of owner rests on the newest evidence made for it, unless a later judgement of any profile says NO-GO.

Revision ID: 0014
"""

from pathlib import Path

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_SQL = Path(__file__).parent.parent / "sql"


def upgrade() -> None:
    """Say the functions again, as banyan_owner."""
    script = (_SQL / "0014_ground.sql").read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(script, execution_options={"no_parameters": True})


def downgrade() -> None:
    """Refuse: evidence that a later judgement contradicts would open a switch again."""
    raise NotImplementedError("what a switch rests on is not loosened; restore the store from its backup")
