"""What the watchdog leaves in the store: a heartbeat, and the accounts it has seen write in a legacy system."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection

from banyan.departments import SourceRef
from store.tables import instant, number, table, text

GUARD_BEAT = table(
    "guard_beat",
    text("guard"),
    text("host"),
    number("process_id"),
    number("period_seconds"),
    instant("started_at"),
    instant("beat_at", default="now()"),
    sa.Column("is_sure", sa.Boolean(), nullable=False),
    sa.PrimaryKeyConstraint("guard"),
)
SEEN_WRITER = table(
    "seen_writer",
    text("department_code"),
    text("system_code"),
    text("account"),
    text("table_name"),
    text("application"),
    instant("first_seen_at", default="now()"),
    instant("last_seen_at", default="now()"),
    sa.PrimaryKeyConstraint("department_code", "system_code", "account", "table_name"),
    sa.ForeignKeyConstraint(
        ["department_code", "system_code"],
        ["mig.source_system.department_code", "mig.source_system.system_code"],
    ),
)


@dataclass(frozen=True, slots=True)
class GuardBeat:
    """The last sign of life of a watchdog; `age_seconds` by the clock of the store."""

    guard: str
    host: str
    process_id: int
    period_seconds: int
    started_at: datetime
    beat_at: datetime
    is_sure: bool
    age_seconds: float


@dataclass(frozen=True, slots=True)
class SeenWriter:
    """An account that was seen writing in a legacy table, or that was connected and may."""

    account: str
    table: str
    application: str
    last_seen_at: datetime


def write_beat(connection: Connection, beat: GuardBeat) -> None:
    """Leave a sign of life, dated by the store."""
    values = {
        "guard": beat.guard,
        "host": beat.host,
        "process_id": beat.process_id,
        "period_seconds": beat.period_seconds,
        "started_at": beat.started_at,
        "beat_at": sa.func.clock_timestamp(),
        "is_sure": beat.is_sure,
    }
    row = insert(GUARD_BEAT).values(values)
    changed = {name: row.excluded[name] for name in values if name != "guard"}
    connection.execute(row.on_conflict_do_update(index_elements=[GUARD_BEAT.c.guard], set_=changed))


def read_beats(connection: Connection) -> list[GuardBeat]:
    """Read the last sign of life of every watchdog, the youngest first."""
    age = sa.func.extract("epoch", sa.func.clock_timestamp() - GUARD_BEAT.c.beat_at).label("age_seconds")
    rows = connection.execute(sa.select(GUARD_BEAT, age).order_by(GUARD_BEAT.c.beat_at.desc())).mappings()
    return [GuardBeat(**{**row, "age_seconds": float(row["age_seconds"])}) for row in rows]


def write_seen(connection: Connection, source: SourceRef, seen: Sequence[tuple[str, str, str]]) -> None:
    """Remember accounts seen: account, table and application of each, dated by the store."""
    if not seen:
        return
    row = insert(SEEN_WRITER)
    changed = {"last_seen_at": sa.func.clock_timestamp(), "application": row.excluded.application}
    keys = [SEEN_WRITER.c.department_code, SEEN_WRITER.c.system_code, SEEN_WRITER.c.account, SEEN_WRITER.c.table_name]
    connection.execute(
        row.on_conflict_do_update(index_elements=keys, set_=changed),
        [
            {
                "department_code": source.department_code,
                "system_code": source.system_code,
                "account": account,
                "table_name": name,
                "application": application,
            }
            for account, name, application in sorted(set(seen))
        ],
    )


def read_seen(connection: Connection, source: SourceRef, *, since: datetime) -> list[SeenWriter]:
    """Read the accounts seen in a legacy system since an instant."""
    rows = connection.execute(
        sa.select(
            SEEN_WRITER.c.account, SEEN_WRITER.c.table_name, SEEN_WRITER.c.application, SEEN_WRITER.c.last_seen_at
        )
        .where(
            SEEN_WRITER.c.department_code == source.department_code,
            SEEN_WRITER.c.system_code == source.system_code,
            SEEN_WRITER.c.last_seen_at >= since,
        )
        .order_by(SEEN_WRITER.c.account, SEEN_WRITER.c.table_name)
    )
    return [SeenWriter(*row) for row in rows]
