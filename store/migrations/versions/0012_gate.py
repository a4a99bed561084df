"""A switch rests on evidence of its own profile, signatures are never empty, and a person is one in any spelling.

Revision ID: 0012
"""

from pathlib import Path

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_SQL = Path(__file__).parent.parent / "sql"


def upgrade() -> None:
    """Complete the table and replace what the store asks of evidence, as banyan_owner."""
    script = (_SQL / "0012_gate.sql").read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(script, execution_options={"no_parameters": True})


def downgrade() -> None:
    """Refuse: a store that once asked for more does not ask for less again."""
    raise NotImplementedError("what a switch rests on is not loosened; restore the store from its backup")
