"""Keys of the log have no foreign key of their own, and tombstones an index.

Revision ID: 0010
"""

from pathlib import Path

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_SQL = Path(__file__).parent.parent / "sql"


def upgrade() -> None:
    """Drop the foreign key and build the index, as banyan_owner."""
    script = (_SQL / "0010_follow.sql").read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(script, execution_options={"no_parameters": True})


def downgrade() -> None:
    """Take both back."""
    op.get_bind().exec_driver_sql(
        "drop index mig.crosswalk_id_idx; alter table mig.log_key add constraint log_key_department_code_fkey"
        " foreign key (department_code, system_code) references mig.source_system (department_code, system_code)",
        execution_options={"no_parameters": True},
    )
