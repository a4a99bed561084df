"""The fence asks one question of a statement that touches one slice, and the outbox keeps one index.

Revision ID: 0011
"""

from pathlib import Path

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_SQL = Path(__file__).parent.parent / "sql"


def upgrade() -> None:
    """Replace the fence's function and put one index in the place of two, as banyan_owner."""
    script = (_SQL / "0011_fence.sql").read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(script, execution_options={"no_parameters": True})


def downgrade() -> None:
    """Refuse: the fence of an older store is that of its own release."""
    raise NotImplementedError("the fence is not taken back by a migration; restore the store from its backup")
