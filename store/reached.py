"""How far routes and runs have come: until when all of a route was carried, and how fast an open run goes on.

What waits on a route came after the instant until which all of it was carried; so it waits no longer than since then.
That instant is when the last run of the route was opened, or when it was last looked at and nothing was found.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from banyan.departments import Side, SourceRef
from banyan.records import Position
from store.ledger_statements import on_route

_REACHED: Final = sa.text(
    "select case when w.to_side = 'CANONICAL' and w.updated_at <= r.closed_at + interval '1 second'"
    " then r.opened_at else w.updated_at end"  # moved by the run, or looked at after it
    " from mig.watermark w join mig.run r on r.run_no = w.run_no"
    " where w.department_code = :department and w.system_code = :system and w.to_side = :side"
)
_NOTE_FORWARD: Final = sa.text(
    "update mig.watermark set updated_at = greatest(updated_at, clock_timestamp() - cast(:ago as interval))"
    " where department_code = :department and system_code = :system and to_side = :side and position = :position"
)
_NOTE_BACK: Final = sa.text(
    "insert into mig.watermark (department_code, system_code, to_side, position, run_no, updated_at)"
    " select :department, :system, :side, :position, max(run_no), clock_timestamp() - cast(:ago as interval)"
    "  from mig.run where department_code = :department and system_code = :system having max(run_no) is not null"
    " on conflict (department_code, system_code, to_side) do update set position = excluded.position,"
    "  run_no = excluded.run_no, updated_at = greatest(watermark.updated_at, excluded.updated_at)"
)
_OPEN: Final = sa.text(
    "with c as (select run_no, state, (counts -> 'rows' ->> 'read')::bigint as rows, finished_at,"
    "  finished_at > clock_timestamp() - interval '5 minutes' as is_recent from mig.chunk)"
    " select r.run_no, r.department_code, r.system_code, r.to_side, r.kind, r.opened_at,"
    "  count(c.run_no) as chunks, count(*) filter (where c.state = 'DONE') as done, coalesce(sum(c.rows), 0) as rows,"
    "  count(*) filter (where c.is_recent) - 1 as recent,"
    "  extract(epoch from clock_timestamp() - min(c.finished_at) filter (where c.is_recent))::float8 as seconds,"
    "  sum(c.rows) filter (where c.is_recent)"
    "   - (array_agg(c.rows order by c.finished_at) filter (where c.is_recent))[1] as recent_rows"
    " from mig.run r left join c on c.run_no = r.run_no where r.state = 'OPEN'"
    " group by r.run_no order by r.run_no"
)


@dataclass(frozen=True, slots=True)
class OpenRun:
    """How far an open run is, and its pace in the last five minutes; None while two chunks have not ended in them."""

    run_no: int
    source: SourceRef
    to_side: Side
    kind: str
    opened_at: datetime
    chunks: int
    chunks_done: int
    rows: int
    rows_per_second: float | None
    seconds_left: float | None

    @property
    def chunks_left(self) -> int:
        """Give how many of the chunks known today wait to be carried."""
        return self.chunks - self.chunks_done


def find_reached(connection: Connection, source: SourceRef, to_side: Side) -> datetime | None:
    """Find until when all of a route was carried; None before its first copy, or before it was walked back."""
    found: datetime | None = connection.scalar(_REACHED, on_route(source, to_side))
    return found


def note_nothing_left(connection: Connection, source: SourceRef, position: Position, *, seconds_ago: float) -> None:
    """Note that so many seconds ago nothing waited on the way to the canonical side, which stands at a Position."""
    bound = on_route(source, Side.CANONICAL) | {"position": position, "ago": timedelta(seconds=seconds_ago)}
    connection.execute(_NOTE_FORWARD, bound)


def note_carried_back(connection: Connection, source: SourceRef, position: Position, *, seconds_ago: float) -> None:
    """Note that all that people did until so many seconds ago, at a Position of the outbox, was carried back."""
    bound = on_route(source, Side.LEGACY) | {"position": position, "ago": timedelta(seconds=seconds_ago)}
    connection.execute(_NOTE_BACK, bound)


def read_open_runs(connection: Connection) -> list[OpenRun]:
    """Read how far each open run is; whoever carries it, and however many they are."""
    return [
        OpenRun(
            run_no=row.run_no,
            source=SourceRef(row.department_code, row.system_code),
            to_side=Side(row.to_side),
            kind=row.kind,
            opened_at=row.opened_at,
            chunks=row.chunks,
            chunks_done=row.done,
            rows=int(row.rows),
            rows_per_second=float(row.recent_rows) / row.seconds if row.recent > 0 else None,
            seconds_left=row.seconds / row.recent * (row.chunks - row.done) if row.recent > 0 else None,
        )
        for row in connection.execute(_OPEN)
    ]
