"""The canonical tables of schema `justice`, built from the one declaration in banyan.canonical."""

from typing import Any, assert_never

import sqlalchemy as sa

from banyan.canonical.model import TABLES, TAIL, CanonicalTable, Column, Kind
from store.row_tables import PARTITION_BY
from store.tables import METADATA

SCHEMA = "justice"
KEY = ("id", "department_code")
_DEFAULTS = {"row_version": "1", "updated_at": "now()"}


def sql_type(kind: Kind) -> sa.types.TypeEngine[Any]:
    """Give the PostgreSQL type of a canonical kind."""
    match kind:
        case Kind.UUID:
            return sa.Uuid()
        case Kind.TEXT:
            return sa.Text()
        case Kind.DATE:
            return sa.Date()
        case Kind.INSTANT:
            return sa.TIMESTAMP(timezone=True)
        case Kind.SMALLINT:
            return sa.SmallInteger()
        case Kind.INTEGER:
            return sa.Integer()
        case Kind.BIGINT:
            return sa.BigInteger()
        case Kind.NUMERIC:
            return sa.Numeric(18, 4)
        case Kind.BOOLEAN:
            return sa.Boolean()
        case Kind.DOUBLE:
            return sa.Double()
        case Kind.BYTES:
            return sa.LargeBinary()
    assert_never(kind)


def _column(column: Column) -> sa.Column[Any]:
    default = _DEFAULTS.get(column.name)
    return sa.Column(
        column.name,
        sql_type(column.kind),
        server_default=sa.text(default) if default else None,
        nullable=column.nullable,
    )


def _table(declared: CanonicalTable) -> sa.Table:
    tail = {column.name: column for column in TAIL}
    ordered = (*(tail[name] for name in KEY), *declared.columns, *(c for c in TAIL if c.name not in KEY))
    return sa.Table(
        declared.name,
        METADATA,
        *[_column(column) for column in ordered],
        sa.PrimaryKeyConstraint(*KEY),
        sa.CheckConstraint("origin in ('LEGACY', 'TARGET', 'STEWARD')", name="origin"),
        schema=SCHEMA,
        postgresql_partition_by=PARTITION_BY,
    )


CANONICAL: dict[str, sa.Table] = {name: _table(declared) for name, declared in TABLES.items()}
"""The SQLAlchemy table of each canonical table, by name."""
