"""The columns of a legacy system as they were when its rules were last agreed with it: what drift is measured from."""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from banyan.departments import SourceRef
from banyan.ports import SourceColumn
from store.tables import instant, number, table, text

SOURCE_COLUMN = table(
    "source_column",
    text("department_code"),
    text("system_code"),
    text("table_name"),
    text("column_name"),
    number("position"),
    text("type_name"),
    sa.Column("is_nullable", sa.Boolean(), nullable=False),
    instant("seen_at", default="clock_timestamp()"),
    sa.PrimaryKeyConstraint("department_code", "system_code", "table_name", "column_name"),
    sa.ForeignKeyConstraint(
        ["department_code", "system_code"],
        ["mig.source_system.department_code", "mig.source_system.system_code"],
    ),
)


def read_columns(connection: Connection, source: SourceRef) -> dict[str, tuple[SourceColumn, ...]]:
    """Read the agreed columns of a legacy system by table, in their order; empty when none were agreed yet."""
    if connection.scalar(sa.select(sa.func.to_regclass("mig.source_column"))) is None:
        return {}  # a store of an earlier release, until `banyan load` migrates it
    rows = connection.execute(
        sa.select(SOURCE_COLUMN).where(*_of(source)).order_by(SOURCE_COLUMN.c.table_name, SOURCE_COLUMN.c.position)
    )
    found: dict[str, tuple[SourceColumn, ...]] = {}
    for row in rows:
        column = SourceColumn(row.column_name, row.type_name, row.is_nullable)
        found[row.table_name] = (*found.get(row.table_name, ()), column)
    return found


def write_columns(connection: Connection, source: SourceRef, tables: Mapping[str, Sequence[SourceColumn]]) -> None:
    """Agree on the columns of these tables as they are now, in place of what was agreed before."""
    if not tables:
        return
    of_tables = SOURCE_COLUMN.c.table_name.in_(list(tables))
    connection.execute(sa.delete(SOURCE_COLUMN).where(*_of(source), of_tables))
    connection.execute(
        sa.insert(SOURCE_COLUMN),
        [
            {
                "department_code": source.department_code,
                "system_code": source.system_code,
                "table_name": name,
                "column_name": column.name,
                "position": position,
                "type_name": column.type_name,
                "is_nullable": column.is_nullable,
            }
            for name, columns in tables.items()
            for position, column in enumerate(columns, 1)
        ],
    )


def _of(source: SourceRef) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        SOURCE_COLUMN.c.department_code == source.department_code,
        SOURCE_COLUMN.c.system_code == source.system_code,
    )
