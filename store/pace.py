"""At which pace a legacy system may be read, and whether somebody has paused it; changed while it runs."""

from dataclasses import asdict, dataclass, replace
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection

from banyan.departments import SourceRef
from store.tables import instant, number, table, text

CHUNK_SECONDS = 0.75

PACE = table(
    "pace",
    text("department_code"),
    text("system_code"),
    sa.Column("chunk_seconds", sa.Double(), nullable=False),
    number("most_active", nullable=True),
    number("most_lock_waits", nullable=True),
    text("closed_from", nullable=True),
    text("closed_until", nullable=True),
    instant("paused_at", nullable=True),
    text("changed_by"),
    instant("changed_at", default="now()"),
    sa.PrimaryKeyConstraint("department_code", "system_code"),
    sa.ForeignKeyConstraint(
        ["department_code", "system_code"],
        ["mig.source_system.department_code", "mig.source_system.system_code"],
    ),
    sa.CheckConstraint("chunk_seconds > 0", name="chunk_seconds"),
    sa.CheckConstraint("(closed_from is null) = (closed_until is null)", name="closed_from"),
)


@dataclass(frozen=True, slots=True)
class Pace:
    """How a legacy system may be read: seconds a chunk takes there, limits of its own load, hours kept free for people.

    `closed_from` and `closed_until` are local times (`07:00`); within them nothing is read.
    """

    chunk_seconds: float = CHUNK_SECONDS
    most_active: int | None = None
    most_lock_waits: int | None = None
    closed_from: str | None = None
    closed_until: str | None = None
    paused_at: datetime | None = None
    changed_by: str = ""


def read_pace(connection: Connection, source: SourceRef) -> Pace:
    """Read the pace of a legacy system; the ordinary one when nobody has set any."""
    names = (
        "chunk_seconds",
        "most_active",
        "most_lock_waits",
        "closed_from",
        "closed_until",
        "paused_at",
        "changed_by",
    )
    row = connection.execute(sa.select(*(PACE.c[name] for name in names)).where(*_of(source))).first()
    return Pace(*row) if row is not None else Pace()


def write_pace(connection: Connection, source: SourceRef, pace: Pace) -> None:
    """Set the pace of a legacy system; a reader that runs follows it within a second."""
    values = {**asdict(pace), "changed_at": sa.func.clock_timestamp()}
    row = insert(PACE).values(department_code=source.department_code, system_code=source.system_code, **values)
    connection.execute(row.on_conflict_do_update(index_elements=["department_code", "system_code"], set_=values))


def pause(connection: Connection, source: SourceRef, *, by: str) -> Pace:
    """Pause the reading of a legacy system; a second time changes nothing."""
    pace = read_pace(connection, source)
    if pace.paused_at is None:
        instant_now = connection.scalar(sa.select(sa.func.clock_timestamp()))
        pace = replace(pace, paused_at=instant_now, changed_by=by)
        write_pace(connection, source, pace)
    return pace


def resume(connection: Connection, source: SourceRef, *, by: str) -> Pace:
    """Let the reading of a legacy system go on."""
    pace = replace(read_pace(connection, source), paused_at=None, changed_by=by)
    write_pace(connection, source, pace)
    return pace


def _of(source: SourceRef) -> tuple[sa.ColumnElement[bool], ...]:
    return (PACE.c.department_code == source.department_code, PACE.c.system_code == source.system_code)
