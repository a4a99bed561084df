"""Tables whose changes were not written down for a while: noted before their capture is repaired, until read again.

The note outlives whoever repairs: a process that dies between the repair and the reading leaves it, and nothing of the
source is followed while it stands.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection

from banyan.departments import SourceRef
from store.tables import instant, table, text

CAPTURE_GAP = table(
    "capture_gap",
    text("department_code"),
    text("system_code"),
    text("table_name"),
    instant("noted_at", default="clock_timestamp()"),
    sa.PrimaryKeyConstraint("department_code", "system_code", "table_name"),
    sa.ForeignKeyConstraint(
        ["department_code", "system_code"],
        ["mig.source_system.department_code", "mig.source_system.system_code"],
    ),
)
_C = CAPTURE_GAP.c


def note_gaps(connection: Connection, source: SourceRef, tables: Sequence[str]) -> None:
    """Note tables whose changes nobody writes down now; one that was noted before is noted anew."""
    if not tables:
        return
    rows = [
        {"department_code": source.department_code, "system_code": source.system_code, "table_name": name}
        for name in tables
    ]
    written = insert(CAPTURE_GAP).values(rows)
    key = ["department_code", "system_code", "table_name"]
    again = {"noted_at": sa.func.clock_timestamp()}
    connection.execute(written.on_conflict_do_update(index_elements=key, set_=again))


def find_gaps(connection: Connection, source: SourceRef) -> dict[str, datetime]:
    """Find the tables that wait to be read again, with the instant at which each was noted."""
    rows = connection.execute(sa.select(_C.table_name, _C.noted_at).where(*_of(source)).order_by(_C.table_name))
    return {name: noted_at for name, noted_at in rows}


def close_gaps(connection: Connection, source: SourceRef, read: Mapping[str, datetime]) -> None:
    """Strike out tables that were read again; one that was noted anew meanwhile stays."""
    for name, noted_at in read.items():
        connection.execute(sa.delete(CAPTURE_GAP).where(*_of(source), _C.table_name == name, _C.noted_at == noted_at))


def _of(source: SourceRef) -> tuple[sa.ColumnElement[bool], ...]:
    return (_C.department_code == source.department_code, _C.system_code == source.system_code)
