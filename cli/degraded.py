"""Open degraded write-backs as people look at them: by column and cause, and by key; never a value."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from store.postgres import transaction
from store.row_tables import DEGRADED_WRITE_BACK
from store.tables import SOURCE_TABLE

_LISTED = DEGRADED_WRITE_BACK.c
_PLACE = (_LISTED.canonical_table, _LISTED.column_name, _LISTED.kind, _LISTED.cause)


@dataclass(frozen=True, slots=True)
class DegradedGroup:
    """Open degraded write-backs of one column and cause: how many, since when."""

    table: str
    column: str | None
    kind: str
    cause: str
    records: int
    since: datetime


@dataclass(frozen=True, slots=True)
class DegradedKey:
    """One of them: the legacy row it is about, if there is one, and the record."""

    legacy_table: str
    key: str | None
    record: str
    column: str | None
    kind: str
    since: datetime


def read_groups(engine: Engine, code: str) -> list[DegradedGroup]:
    """Count the open degraded write-backs of a department by column and cause, the most first."""
    records = sa.func.count().label("records")
    query = (
        sa.select(*_PLACE, records, sa.func.min(_LISTED.noticed_at))
        .where(_LISTED.department_code == code, _LISTED.state == "OPEN")
        .group_by(*_PLACE)
        .order_by(records.desc(), *_PLACE)
    )
    with transaction(engine) as connection:
        return [DegradedGroup(*row) for row in connection.execute(query)]


def read_keys(engine: Engine, code: str, *, kind: str, limit: int) -> list[DegradedKey]:
    """List open degraded write-backs of one kind by key, the oldest first."""
    query = (
        sa.select(
            SOURCE_TABLE.c.table_name, _LISTED.source_key, sa.cast(_LISTED.main_id, sa.String),
            sa.func.concat_ws(".", _LISTED.canonical_table, _LISTED.column_name), _LISTED.kind, _LISTED.noticed_at,
        )
        .join(SOURCE_TABLE, SOURCE_TABLE.c.source_table_no == _LISTED.source_table_no)
        .where(_LISTED.department_code == code, _LISTED.state == "OPEN", _LISTED.kind == kind)
        .order_by(_LISTED.noticed_at, _LISTED.degraded_no)
        .limit(limit)
    )  # fmt: skip
    with transaction(engine) as connection:
        return [DegradedKey(*row) for row in connection.execute(query)]
