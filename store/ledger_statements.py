"""The statements of the ledger that every chunk asks, put together once: a small chunk costs less than saying them.

Values are bound by name; the ledger gives them.
"""

from datetime import timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from banyan.departments import Side, SourceRef
from store.runs import ChunkLease, Run, RunState
from store.tables import CHUNK, RUN, WATERMARK

_OPEN: Final = RunState.OPEN.value
_NOW: Final = sa.func.clock_timestamp()
_LEASE_UNTIL: Final[sa.ColumnElement[Any]] = _NOW + sa.bindparam("lease", type_=sa.Interval())


def route(table: sa.Table) -> tuple[sa.ColumnElement[bool], ...]:
    """Find the rows of one route, of a table that has it."""
    return (
        table.c.department_code == sa.bindparam("department"),
        table.c.system_code == sa.bindparam("system"),
        table.c.to_side == sa.bindparam("side"),
    )


def on_route(source: SourceRef, to_side: Side) -> dict[str, Any]:
    """Give the values of a route."""
    return {"department": source.department_code, "system": source.system_code, "side": to_side.value}


def lasting(seconds: int) -> dict[str, Any]:
    """Give the value of a lease."""
    return {"lease": timedelta(seconds=seconds)}


def held_by(held: Run) -> dict[str, Any]:
    """Give the values of a run as its holder knows it."""
    return {"run": held.run_no, "holder": held.owner, "tried": held.attempt}


def held_chunk(lease: ChunkLease) -> dict[str, Any]:
    """Give the values of a chunk as its holder knows it."""
    return {"run": lease.run_no, "chunk": lease.chunk_no, "holder": lease.owner, "tried": lease.attempt}


_THE_RUN: Final = RUN.c.run_no == sa.bindparam("run")
_OF_RUN: Final = CHUNK.c.run_no == sa.bindparam("run")
_THE_CHUNK: Final = (_OF_RUN, CHUNK.c.chunk_no == sa.bindparam("chunk"))
_HELD_RUN: Final = (
    _THE_RUN,
    RUN.c.owner == sa.bindparam("holder"),
    RUN.c.attempt == sa.bindparam("tried"),
    RUN.c.state == _OPEN,
)

FIND_OPEN_RUN: Final = sa.select(RUN).where(*route(RUN), RUN.c.state == _OPEN)
FIND_WATERMARK: Final = sa.select(WATERMARK.c.position).where(*route(WATERMARK))
READ_PROGRESS: Final = sa.select(
    sa.func.count().filter(CHUNK.c.state == "DONE"),
    sa.func.count(),
    sa.func.coalesce(sa.func.sum(CHUNK.c.counts["rows"]["read"].as_integer()), 0),
).where(_OF_RUN)
READ_CHUNKS: Final = (
    sa.select(CHUNK.c.table_name, CHUNK.c.state, CHUNK.c.counts)
    .where(_OF_RUN)
    .order_by(CHUNK.c.table_name, CHUNK.c.chunk_no)
)
COUNT_DONE: Final = (
    sa.select(sa.func.count())
    .select_from(CHUNK)
    .where(_OF_RUN, CHUNK.c.state == "DONE", CHUNK.c.table_name.in_(sa.bindparam("tables", expanding=True)))
)
LAST_CHUNK: Final = sa.select(sa.func.max(CHUNK.c.chunk_no)).where(_OF_RUN)
ADD_CHUNKS: Final = sa.insert(CHUNK)

OPEN_RUN: Final = (
    insert(RUN)
    .values(
        department_code=sa.bindparam("department"),
        system_code=sa.bindparam("system"),
        to_side=sa.bindparam("side"),
        kind=sa.bindparam("its_kind"),
        from_position=sa.bindparam("since"),
        until_position=sa.bindparam("until"),
        rules_digest=sa.bindparam("rules"),
        state=_OPEN,
        owner=sa.bindparam("holder"),
        attempt=1,
        lease_until=_LEASE_UNTIL,
    )
    .on_conflict_do_nothing()
    .returning(RUN)
)
RENEW_RUN: Final = sa.update(RUN).where(*_HELD_RUN).values(lease_until=_LEASE_UNTIL).returning(RUN)
LOCK_RUN: Final = sa.select(RUN.c.run_no).where(*_HELD_RUN).with_for_update()
LOCK_CHUNKS: Final = sa.select(RUN.c.run_no).where(*_HELD_RUN).with_for_update(key_share=True)  # beside HOLD_CHUNK's
CLOSE_RUN: Final = (
    sa.update(RUN).where(_THE_RUN).values(state=sa.bindparam("its_state"), reason=sa.bindparam("told"), closed_at=_NOW)
)

_FREE: Final = sa.or_(
    CHUNK.c.state == "PLANNED",
    sa.and_(CHUNK.c.state == "LEASED", CHUNK.c.lease_until < _NOW),
)
_FOLLOWING: Final = (
    sa.select(CHUNK.c.chunk_no)
    .where(_OF_RUN, _FREE, sa.exists().where(RUN.c.run_no == CHUNK.c.run_no, RUN.c.state == _OPEN))
    .order_by(CHUNK.c.chunk_no)
    .limit(1)
    .with_for_update(skip_locked=True, of=CHUNK)
    .scalar_subquery()
)
TAKE_CHUNK: Final = (
    sa.update(CHUNK)
    .where(_OF_RUN, CHUNK.c.chunk_no == _FOLLOWING)
    .values(state="LEASED", owner=sa.bindparam("holder"), attempt=CHUNK.c.attempt + 1, lease_until=_LEASE_UNTIL)
    .returning(CHUNK)
)
HOLD_CHUNK: Final = sa.text(
    "select c.chunk_no from mig.chunk c join mig.run r on r.run_no = c.run_no"
    " where c.run_no = :run and c.chunk_no = :chunk and c.owner = :holder and c.attempt = :tried and c.state = 'LEASED'"
    " and r.state = 'OPEN' for update of c for key share of r"  # one question, two kinds of lock
)
FINISH_CHUNK: Final = (
    sa.update(CHUNK)
    .where(*_THE_CHUNK)
    .values(
        state="DONE",
        counts=sa.bindparam("told"),
        parcel=sa.bindparam("its_parcel"),
        in_flight=sa.bindparam("moving"),
        finished_at=_NOW,
    )
)
INTEND_CHUNK: Final = sa.update(CHUNK).where(*_THE_CHUNK).values(intent=sa.bindparam("told"), keys=sa.bindparam("rows"))
FIND_INTENT: Final = sa.select(CHUNK.c.intent).where(*_THE_CHUNK)
MOVE_WATERMARK: Final = (
    sa.update(WATERMARK)
    .where(*route(WATERMARK), WATERMARK.c.position == sa.bindparam("expected"))
    .values(position=sa.bindparam("reached"), run_no=sa.bindparam("run"), updated_at=_NOW)
    .returning(WATERMARK.c.run_no)
)
WRITE_FIGURES: Final = sa.text(
    "insert into mig.figure (run_no, table_name, name, figure)"
    " select :run, :told, f.name, f.figure"
    " from unnest(cast(:names as text[]), cast(:figures as bigint[])) f(name, figure)"
    " on conflict (run_no, table_name, name) do update set figure = excluded.figure"
)
