"""Runs, chunks, watermarks and figures: who works on what, until when, and whether every row is accounted for.

A run belongs to an owner under a lease, a chunk to an (owner, attempt). Work is committed only by the holder: the
chunk is locked and compared in the transaction that writes its rows, so that a late orphan writes nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection

from banyan.departments import Side, SourceRef
from banyan.errors import ConservationBroken, LeaseLost, UsageError
from banyan.records import ChunkCounts, KeyRange, Position
from store.runs import (
    ChunkLease,
    ChunkPlan,
    Run,
    RunRequest,
    RunState,
    chunk_values,
    counts_of,
    figures_of,
    lease_of,
    run_of,
)
from store.tables import CHUNK, FIGURE, RUN, WATERMARK


class LedgerReader:
    """Reads the ledger inside one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def find_open_run(self, source: SourceRef, to_side: Side) -> Run | None:
        """Find the run that is open on a route."""
        row = self._connection.execute(
            sa.select(RUN).where(*_route(RUN, source, to_side), RUN.c.state == RunState.OPEN.value)
        ).first()
        return run_of(row) if row else None

    def read_run(self, run_no: int) -> Run:
        """Read one run."""
        row = self._connection.execute(sa.select(RUN).where(RUN.c.run_no == run_no)).first()
        if row is None:
            raise UsageError(f"there is no run {run_no}", hint="banyan sync status")
        return run_of(row)

    def read_mark(self, run_no: int) -> str | None:
        """Read what a run was opened under: the digest of its rules, or the mark of what is carried again."""
        mark: str | None = self._connection.scalar(sa.select(RUN.c.rules_digest).where(RUN.c.run_no == run_no))
        return mark

    def read_runs(self, source: SourceRef) -> list[Run]:
        """Read all runs of a legacy system, newest first."""
        query = sa.select(RUN).where(
            RUN.c.department_code == source.department_code, RUN.c.system_code == source.system_code
        )
        return [run_of(row) for row in self._connection.execute(query.order_by(RUN.c.run_no.desc()))]

    def find_watermark(self, source: SourceRef, to_side: Side) -> Position | None:
        """Find how far a route has come."""
        found = self._connection.scalar(sa.select(WATERMARK.c.position).where(*_route(WATERMARK, source, to_side)))
        return Position(found) if found is not None else None

    def read_progress(self, run_no: int) -> dict[str, tuple[int, int]]:
        """Read, for each table of a run, how many chunks are done and how many there are."""
        done = sa.func.count().filter(CHUNK.c.state == "DONE")
        query = sa.select(CHUNK.c.table_name, done, sa.func.count()).where(CHUNK.c.run_no == run_no)
        rows = self._connection.execute(query.group_by(CHUNK.c.table_name).order_by(CHUNK.c.table_name))
        return {name: (finished, planned) for name, finished, planned in rows}

    def read_totals(self, run_no: int) -> dict[str, ChunkCounts]:
        """Read the conservation totals of a run by table, added up from its finished chunks."""
        query = sa.select(CHUNK.c.table_name, CHUNK.c.counts).where(CHUNK.c.run_no == run_no, CHUNK.c.state == "DONE")
        totals: dict[str, ChunkCounts] = {}
        for name, counts in self._connection.execute(query.order_by(CHUNK.c.table_name, CHUNK.c.chunk_no)):
            totals[name] = totals.get(name, ChunkCounts()) + counts_of(counts)
        return totals

    def was_carried_before(self, lease: ChunkLease) -> bool:
        """Tell whether rows of a chunk may have been carried before: by another run, or by their keys in this one."""
        this = sa.select(RUN.c.department_code, RUN.c.system_code).where(RUN.c.run_no == lease.run_no).subquery()
        earlier = (
            sa.select(CHUNK.c.run_no)
            .join(RUN, RUN.c.run_no == CHUNK.c.run_no)
            .where(
                RUN.c.department_code == this.c.department_code,
                RUN.c.system_code == this.c.system_code,
                RUN.c.to_side == Side.CANONICAL.value,
                sa.or_(RUN.c.run_no != lease.run_no, CHUNK.c["keys"].is_not(None)),
                CHUNK.c.table_name == lease.table,
                CHUNK.c.state == "DONE",
            )
        )
        return bool(self._connection.scalar(sa.select(sa.exists(earlier))))

    def read_figures(self, run_no: int) -> dict[str, dict[str, int]]:
        """Read the figures a run left, by table and name."""
        query = sa.select(FIGURE).where(FIGURE.c.run_no == run_no).order_by(FIGURE.c.table_name, FIGURE.c.name)
        figures: dict[str, dict[str, int]] = {}
        for row in self._connection.execute(query):
            figures.setdefault(row.table_name, {})[row.name] = row.figure
        return figures


class Ledger(LedgerReader):
    """Changes the ledger inside one transaction; nothing holds before its commit."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._held: ChunkLease | None = None  # locked until the transaction ends: it need not be locked twice

    def open_run(self, request: RunRequest) -> Run:
        """Open a run on a route, or take over the open one when its owner has been silent past its lease."""
        row = self._connection.execute(
            insert(RUN)
            .values(
                department_code=request.source.department_code,
                system_code=request.source.system_code,
                to_side=request.to_side.value,
                kind=request.kind.value,
                from_position=request.from_position,
                until_position=request.until_position,
                rules_digest=request.rules_digest,
                state=RunState.OPEN.value,
                owner=request.owner,
                attempt=1,
                lease_until=_from_now(request.lease_seconds),
            )
            .on_conflict_do_nothing()
            .returning(RUN)
        ).first()
        return run_of(row) if row else self._take_over(request)

    def _take_over(self, request: RunRequest) -> Run:
        expired = (RUN.c.lease_until < sa.func.clock_timestamp()).label("expired")
        row = self._connection.execute(
            sa.select(RUN, expired)
            .where(*_route(RUN, request.source, request.to_side), RUN.c.state == RunState.OPEN.value)
            .with_for_update()
        ).first()
        if row is None:  # it ended between the two statements
            return self.open_run(request)
        held = (
            f"run {row.run_no} ({row.kind}) of {request.source} to {row.to_side}, open since {row.opened_at:%F %T} UTC"
        )
        if not row.expired:
            raise LeaseLost(
                f"{held}, is held by {row.owner}; nothing was started",
                hint="banyan sync status; wait for its end or its lease",
                run_no=row.run_no,
                since=row.opened_at.isoformat(),
            )
        if row.kind != request.kind.value:
            raise UsageError(
                f"{held}, was left unfinished; no {request.kind.value} run was started",
                hint="resume or cancel it first",
                run_no=row.run_no,
                since=row.opened_at.isoformat(),
            )
        taken = self._connection.execute(
            sa.update(RUN)
            .where(RUN.c.run_no == row.run_no)
            .values(owner=request.owner, attempt=RUN.c.attempt + 1, lease_until=_from_now(request.lease_seconds))
            .returning(RUN)
        ).one()
        return run_of(taken)

    def renew_run(self, run: Run, *, lease_seconds: int = 120) -> Run:
        """Keep a run for longer; refuses when another owner took it."""
        row = self._connection.execute(
            sa.update(RUN).where(*_held_run(run)).values(lease_until=_from_now(lease_seconds)).returning(RUN)
        ).first()
        if row is None:
            raise _lost_run(run)
        return run_of(row)

    def close_run(self, run: Run, state: RunState, *, reason: str | None = None) -> None:
        """End a run. DONE demands that every chunk is done and every row accounted for; its figures are kept."""
        if state is RunState.OPEN:
            raise UsageError(f"run {run.run_no} cannot be closed as OPEN; it was left as it is")
        held = self._connection.execute(sa.select(RUN.c.run_no).where(*_held_run(run)).with_for_update()).first()
        if held is None:
            raise _lost_run(run)
        totals = self.read_totals(run.run_no)
        if state is RunState.DONE:
            self._refuse_unfinished(run, totals)
        for table, counts in totals.items():
            self.write_figures(run.run_no, table, figures_of(counts))
        self._connection.execute(
            sa.update(RUN)
            .where(RUN.c.run_no == run.run_no)
            .values(state=state.value, reason=reason, closed_at=sa.func.clock_timestamp())
        )

    def cancel_run(self, run_no: int, *, reason: str) -> None:
        """Cancel an open run whoever holds it; its workers write nothing more."""
        row = self._connection.execute(
            sa.select(RUN).where(RUN.c.run_no == run_no, RUN.c.state == RunState.OPEN.value).with_for_update()
        ).first()
        if row is None:
            raise UsageError(f"run {run_no} is not open; nothing was changed", hint="banyan sync status")
        self.close_run(run_of(row), RunState.CANCELLED, reason=reason)

    def _refuse_unfinished(self, run: Run, totals: Mapping[str, ChunkCounts]) -> None:
        waiting = self._connection.scalar(
            sa.select(sa.func.count()).where(CHUNK.c.run_no == run.run_no, CHUNK.c.state != "DONE")
        )
        if waiting:
            raise UsageError(f"run {run.run_no} has {waiting} chunks that are not done; it stays open")
        for table, counts in totals.items():
            if not counts.is_balanced:
                raise _unbalanced(table, counts)

    def write_chunks(self, run: Run, plans: Iterable[ChunkPlan]) -> int:
        """Add chunks to a run, behind those it has; gives how many."""
        held = self._connection.execute(sa.select(RUN.c.run_no).where(*_held_run(run)).with_for_update()).first()
        if held is None:
            raise _lost_run(run)
        last = self._connection.scalar(sa.select(sa.func.max(CHUNK.c.chunk_no)).where(CHUNK.c.run_no == run.run_no))
        rows = [chunk_values(run.run_no, number, plan) for number, plan in enumerate(plans, (last or 0) + 1)]
        if rows:
            self._connection.execute(sa.insert(CHUNK), rows)
        return len(rows)

    def take_chunk(self, run_no: int, owner: str, *, lease_seconds: int = 300) -> ChunkLease | None:
        """Lease the next chunk nobody holds, or whose lease is over; None when there is none to take now."""
        free = sa.or_(
            CHUNK.c.state == "PLANNED",
            sa.and_(CHUNK.c.state == "LEASED", CHUNK.c.lease_until < sa.func.clock_timestamp()),
        )
        is_open = sa.exists().where(RUN.c.run_no == CHUNK.c.run_no, RUN.c.state == RunState.OPEN.value)
        following = (
            sa.select(CHUNK.c.chunk_no)
            .where(CHUNK.c.run_no == run_no, free, is_open)
            .order_by(CHUNK.c.chunk_no)
            .limit(1)
            .with_for_update(skip_locked=True, of=CHUNK)
            .scalar_subquery()
        )
        row = self._connection.execute(
            sa.update(CHUNK)
            .where(CHUNK.c.run_no == run_no, CHUNK.c.chunk_no == following)
            .values(state="LEASED", owner=owner, attempt=CHUNK.c.attempt + 1, lease_until=_from_now(lease_seconds))
            .returning(CHUNK)
        ).first()
        return lease_of(row) if row else None

    def cut_chunk(self, run: Run, lease: ChunkLease, rest: ChunkPlan) -> ChunkLease:
        """Leave the upper part of a leased range to another chunk; gives the lease of the lower part."""
        if not isinstance(lease.keys, KeyRange) or not isinstance(rest.keys, KeyRange):
            raise UsageError("only a range of keys can be cut; it was left whole", run_no=lease.run_no)
        self.hold_chunk(lease)
        self._connection.execute(
            sa.update(CHUNK)
            .where(CHUNK.c.run_no == lease.run_no, CHUNK.c.chunk_no == lease.chunk_no)
            .values(high_key=rest.keys.low)
        )
        self.write_chunks(run, [rest])
        return replace(lease, keys=KeyRange(lease.keys.low, rest.keys.low))

    def hold_chunk(self, lease: ChunkLease) -> None:
        """Lock the chunk to the end of the transaction; refuses when it is not this worker's any more."""
        held = self._connection.execute(
            sa.select(CHUNK.c.chunk_no).where(*_held_chunk(lease)).with_for_update()
        ).first()
        open_run = self._connection.execute(
            sa.select(RUN.c.run_no)
            .where(RUN.c.run_no == lease.run_no, RUN.c.state == RunState.OPEN.value)
            .with_for_update(read=True, key_share=True)
        ).first()
        if held is None or open_run is None:
            raise LeaseLost(
                f"chunk {lease.chunk_no} of run {lease.run_no} belongs to another worker or its run has ended; "
                "nothing of this attempt was written",
                run_no=lease.run_no,
                chunk_no=lease.chunk_no,
                attempt=lease.attempt,
            )
        self._held = lease

    def finish_chunk(self, lease: ChunkLease, counts: ChunkCounts, *, parcel: str | None = None) -> None:
        """Record a chunk as done with the fates of its rows; refuses counts that do not add up."""
        if lease != self._held:
            self.hold_chunk(lease)
        if not counts.is_balanced:
            raise _unbalanced(lease.table, counts)
        self._connection.execute(
            sa.update(CHUNK)
            .where(CHUNK.c.run_no == lease.run_no, CHUNK.c.chunk_no == lease.chunk_no)
            .values(state="DONE", counts=asdict(counts), parcel=parcel, finished_at=sa.func.clock_timestamp())
        )

    def write_watermark(self, run: Run, position: Position, *, expected: Position | None) -> None:
        """Move a route's watermark from where this run found it; refuses when somebody else moved it."""
        if expected is None:
            done = self._connection.execute(
                insert(WATERMARK)
                .values(
                    department_code=run.source.department_code,
                    system_code=run.source.system_code,
                    to_side=run.to_side.value,
                    position=position,
                    run_no=run.run_no,
                )
                .on_conflict_do_nothing()
                .returning(WATERMARK.c.run_no)
            )
        else:
            done = self._connection.execute(
                sa.update(WATERMARK)
                .where(*_route(WATERMARK, run.source, run.to_side), WATERMARK.c.position == expected)
                .values(position=position, run_no=run.run_no, updated_at=sa.func.clock_timestamp())
                .returning(WATERMARK.c.run_no)
            )
        if done.first() is None:
            raise LeaseLost(
                f"the watermark of {run.source} to {run.to_side.value} was moved by another run; it was left there",
                run_no=run.run_no,
            )

    def write_figures(self, run_no: int, table: str, figures: Mapping[str, int]) -> None:
        """Record named figures of one table of a run, over those it had."""
        if not figures:
            return
        rows = [{"run_no": run_no, "table_name": table, "name": n, "figure": f} for n, f in sorted(figures.items())]
        row = insert(FIGURE)
        self._connection.execute(
            row.on_conflict_do_update(
                index_elements=[FIGURE.c.run_no, FIGURE.c.table_name, FIGURE.c.name],
                set_={"figure": row.excluded.figure},
            ),
            rows,
        )


def _from_now(seconds: int) -> sa.ColumnElement[Any]:
    return sa.func.clock_timestamp() + timedelta(seconds=seconds)


def _route(table: sa.Table, source: SourceRef, to_side: Side) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        table.c.department_code == source.department_code,
        table.c.system_code == source.system_code,
        table.c.to_side == to_side.value,
    )


def _held_run(run: Run) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        RUN.c.run_no == run.run_no,
        RUN.c.owner == run.owner,
        RUN.c.attempt == run.attempt,
        RUN.c.state == RunState.OPEN.value,
    )


def _held_chunk(lease: ChunkLease) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        CHUNK.c.run_no == lease.run_no,
        CHUNK.c.chunk_no == lease.chunk_no,
        CHUNK.c.owner == lease.owner,
        CHUNK.c.attempt == lease.attempt,
        CHUNK.c.state == "LEASED",
    )


def _lost_run(run: Run) -> LeaseLost:
    return LeaseLost(
        f"run {run.run_no} has ended or belongs to another owner; nothing of this attempt was written",
        run_no=run.run_no,
        attempt=run.attempt,
    )


def _unbalanced(table: str, counts: ChunkCounts) -> ConservationBroken:
    return ConservationBroken(
        f"the rows of {table} do not add up: {counts.rows.read} read, {counts.rows.accounted} accounted for; "
        "nothing of this chunk was written",
        hint="banyan log show",
        table=table,
    )
