"""What Alembic compares: our three schemas, without the partitions, which departments add."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.base import ischema_names

from store.adopted_parts import ADOPTED_PART
from store.ahead import WRITE_AHEAD
from store.canonical import CANONICAL
from store.decisions import DECISION
from store.gaps import CAPTURE_GAP
from store.key_log import LOG_KEY
from store.pace import PACE
from store.row_tables import Xid8
from store.source_columns import SOURCE_COLUMN
from store.watch import GUARD_BEAT

METADATA = CANONICAL["case_file"].metadata
assert all(
    table.metadata is METADATA for table in (ADOPTED_PART, CAPTURE_GAP, DECISION, GUARD_BEAT, SOURCE_COLUMN)
)  # declared beside functions
assert WRITE_AHEAD.metadata is LOG_KEY.metadata is PACE.metadata is METADATA
SCHEMAS = ("code", "justice", "mig")
VERSION_TABLE = "revision"

_PARTITIONS = sa.text(
    "select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relispartition"
)


def compared(connection: sa.Connection) -> dict[str, Any]:
    """Give the options under which a store is compared with the declared tables."""
    ischema_names["xid8"] = Xid8  # SQLAlchemy does not know the type
    partitions = {(schema, name) for schema, name in connection.execute(_PARTITIONS)}

    def is_compared(name: str | None, kind: str, parents: Any) -> bool:  # noqa: ANN401 - Alembic's signature
        if kind == "schema":
            return name in SCHEMAS
        if kind == "table":
            return (parents["schema_name"], name) not in partitions and name != VERSION_TABLE
        return True

    return {
        "target_metadata": METADATA,
        "autogenerate_plugins": ["alembic.autogenerate.*", "alembic.ext.checkconstraint_byname"],
        "include_schemas": True,
        "include_name": is_compared,
        "compare_type": True,
        "compare_server_default": True,
        "version_table": VERSION_TABLE,
        "version_table_schema": "mig",
    }
