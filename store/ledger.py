"""Runs, chunks, watermarks and figures: who works on what, until when, and whether every row is accounted for.

A run belongs to an owner under a lease, a chunk to an (owner, attempt). Work is committed only by the holder: the
chunk is locked and compared in the transaction that writes its rows, so that a late orphan writes nothing.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection

from banyan.departments import Side, SourceRef
from banyan.errors import ConservationBroken, LeaseLost, UsageError
from banyan.records import ChunkCounts, KeyRange, Position
from store import ledger_statements as say
from store.runs import (
    ChunkLease,
    ChunkPlan,
    Intent,
    Run,
    RunProgress,
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
        row = self._connection.execute(say.FIND_OPEN_RUN, say.on_route(source, to_side)).first()
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
        found = self._connection.scalar(say.FIND_WATERMARK, say.on_route(source, to_side))
        return Position(found) if found is not None else None

    def read_progress(self, run_no: int) -> RunProgress:
        """Count the chunks of a run, those that are done, and the rows that were read for them, whoever read them."""
        done, planned, rows = self._connection.execute(say.READ_PROGRESS, {"run": run_no}).one()
        return RunProgress(done, planned, rows)

    def read_totals(self, run_no: int) -> dict[str, ChunkCounts]:
        """Read the conservation totals of a run by table, added up from its finished chunks."""
        return self._read_chunks(run_no)[0]

    def _read_chunks(self, run_no: int) -> tuple[dict[str, ChunkCounts], int]:
        """Read the totals by table of the chunks that are done, and how many are not."""
        totals: dict[str, ChunkCounts] = {}
        waiting = 0
        for name, state, counts in self._connection.execute(say.READ_CHUNKS, {"run": run_no}):
            if state != "DONE":
                waiting += 1
                continue
            totals[name] = totals.get(name, ChunkCounts()) + counts_of(counts)
        return totals, waiting

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

    def was_carried(self, source: SourceRef, tables: Collection[str]) -> bool:
        """Tell whether any chunk of these tables has been carried to the canonical side, by whatever run."""
        carried = (
            sa.select(CHUNK.c.run_no)
            .join(RUN, RUN.c.run_no == CHUNK.c.run_no)
            .where(*say.route(RUN), CHUNK.c.table_name.in_(sorted(tables)), CHUNK.c.state == "DONE")
        )
        return bool(self._connection.scalar(sa.select(sa.exists(carried)), say.on_route(source, Side.CANONICAL)))

    def count_done(self, run_no: int, tables: Collection[str]) -> int:
        """Count the chunks of these tables that a run has carried."""
        return int(self._connection.scalar(say.COUNT_DONE, {"run": run_no, "tables": sorted(tables)}) or 0)

    def find_intent(self, lease: ChunkLease) -> tuple[Intent, ChunkCounts] | None:
        """Find what an earlier attempt at a chunk would have done, when it came so far."""
        told = self._connection.scalar(say.FIND_INTENT, {"run": lease.run_no, "chunk": lease.chunk_no})
        if told is None:
            return None
        return Intent(told["name"], Position(told["position"]), told["attempt"]), counts_of(told["counts"])

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
        return self.open_new(request) or self.take_over(request)

    def open_new(self, request: RunRequest) -> Run | None:
        """Open a run on a route; None when one is open there. It has no chunks, and nobody else knows of it yet."""
        row = self._connection.execute(
            say.OPEN_RUN,
            say.on_route(request.source, request.to_side)
            | say.lasting(request.lease_seconds)
            | {
                "its_kind": request.kind.value,
                "since": request.from_position,
                "until": request.until_position,
                "rules": request.rules_digest,
                "holder": request.owner,
            },
        ).first()
        return run_of(row) if row else None

    def take_over(self, request: RunRequest) -> Run:
        """Take over the run that is open on a route when its owner has been silent past its lease."""
        expired = (RUN.c.lease_until < sa.func.clock_timestamp()).label("expired")
        row = self._connection.execute(
            sa.select(RUN, expired).where(*say.route(RUN), RUN.c.state == RunState.OPEN.value),
            say.on_route(request.source, request.to_side),
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
        free = (  # whoever is inside a transaction of this run, frozen perhaps, is never waited for
            sa.select(RUN.c.run_no)
            .where(RUN.c.run_no == row.run_no, RUN.c.state == RunState.OPEN.value)
            .where(RUN.c.lease_until < sa.func.clock_timestamp())
            .with_for_update(skip_locked=True)
        )
        taken = self._connection.execute(
            sa.update(RUN)
            .where(RUN.c.run_no.in_(free))
            .values(owner=request.owner, attempt=RUN.c.attempt + 1, lease_until=_from_now(request.lease_seconds))
            .returning(RUN)
        ).first()
        if taken is None:
            raise LeaseLost(
                f"{held}, is being carried by {row.owner} past its lease; nothing was started",
                hint="banyan sync status; wait for its end",
                run_no=row.run_no,
                since=row.opened_at.isoformat(),
            )
        return run_of(taken)

    def renew_run(self, run: Run, *, lease_seconds: int = 120) -> Run:
        """Keep a run for longer; refuses when another owner took it."""
        row = self._connection.execute(say.RENEW_RUN, say.held_by(run) | say.lasting(lease_seconds)).first()
        if row is None:
            raise _lost_run(run)
        return run_of(row)

    def close_run(self, run: Run, state: RunState, *, reason: str | None = None) -> dict[str, ChunkCounts]:
        """End a run and give its totals by table. DONE demands that every chunk is done and every row accounted for;
        its figures are kept.
        """
        if state is RunState.OPEN:
            raise UsageError(f"run {run.run_no} cannot be closed as OPEN; it was left as it is")
        self._lock_run(run)
        totals, waiting = self._read_chunks(run.run_no)
        if state is RunState.DONE:
            _refuse_unfinished(run, totals, waiting)
        for table, counts in totals.items():
            self.write_figures(run.run_no, table, figures_of(counts))
        told = {"run": run.run_no, "its_state": state.value, "told": reason}
        self._connection.execute(say.CLOSE_RUN, told)
        return totals

    def _lock_run(self, run: Run) -> None:
        if self._connection.execute(say.LOCK_RUN, say.held_by(run)).first() is None:
            raise _lost_run(run)

    def cancel_run(self, run_no: int, *, reason: str) -> None:
        """Cancel an open run whoever holds it; its workers write nothing more."""
        row = self._connection.execute(
            sa.select(RUN).where(RUN.c.run_no == run_no, RUN.c.state == RunState.OPEN.value).with_for_update()
        ).first()
        if row is None:
            raise UsageError(f"run {run_no} is not open; nothing was changed", hint="banyan sync status")
        self.close_run(run_of(row), RunState.CANCELLED, reason=reason)

    def write_chunks(self, run: Run, plans: Iterable[ChunkPlan]) -> int:
        """Add chunks to a run, behind those it has; gives how many; those that are carried go on."""
        if self._connection.execute(say.LOCK_CHUNKS, say.held_by(run)).first() is None:
            raise _lost_run(run)
        last = self._connection.scalar(say.LAST_CHUNK, {"run": run.run_no})
        return self.write_first_chunks(run, plans, after=last or 0)

    def write_first_chunks(self, run: Run, plans: Iterable[ChunkPlan], *, after: int = 0) -> int:
        """Give a run that this transaction has just opened its chunks; gives how many."""
        rows = [chunk_values(run.run_no, number, plan) for number, plan in enumerate(plans, after + 1)]
        if rows:
            self._connection.execute(say.ADD_CHUNKS, rows)
        return len(rows)

    def take_chunk(self, run_no: int, owner: str, *, lease_seconds: int = 300) -> ChunkLease | None:
        """Lease the next chunk nobody holds, or whose lease is over; None when there is none to take now."""
        bound = {"run": run_no, "holder": owner} | say.lasting(lease_seconds)
        row = self._connection.execute(say.TAKE_CHUNK, bound).first()
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
        if self._connection.execute(say.HOLD_CHUNK, say.held_chunk(lease)).first() is None:
            raise LeaseLost(
                f"chunk {lease.chunk_no} of run {lease.run_no} belongs to another worker or its run has ended; "
                "nothing of this attempt was written",
                run_no=lease.run_no,
                chunk_no=lease.chunk_no,
                attempt=lease.attempt,
            )
        self._held = lease

    def finish_chunk(
        self, lease: ChunkLease, counts: ChunkCounts, *, parcel: str | None = None, in_flight: Sequence[str] = ()
    ) -> None:
        """Record a chunk as done with the fates of its rows and the keys of those in flight; refuses counts that do not
        add up.
        """
        if lease != self._held:
            self.hold_chunk(lease)
        _refuse_unbalanced(lease.table, counts)
        if counts.rows.in_flight != len(in_flight):
            raise _broken(lease.table, f"{counts.rows.in_flight} rows are in flight, and {len(in_flight)} are listed")
        told = {"run": lease.run_no, "chunk": lease.chunk_no, "told": asdict(counts), "its_parcel": parcel}
        self._connection.execute(say.FINISH_CHUNK, told | {"moving": list(in_flight) or None})

    def intend_chunk(self, lease: ChunkLease, counts: ChunkCounts, intent: Intent) -> None:
        """Note what a chunk will have done once the other side holds a Position; it counts when that was read back."""
        if lease != self._held:
            self.hold_chunk(lease)
        _refuse_unbalanced(lease.table, counts)
        told: dict[str, object] = {"name": intent.name, "position": intent.position, "since": intent.since}
        told |= {"attempt": intent.attempt, "counts": asdict(counts)}
        bound = {"run": lease.run_no, "chunk": lease.chunk_no, "told": told, "rows": list(intent.rows)}
        self._connection.execute(say.INTEND_CHUNK, bound)

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
            told = {"expected": expected, "reached": position, "run": run.run_no}
            done = self._connection.execute(say.MOVE_WATERMARK, say.on_route(run.source, run.to_side) | told)
        if done.first() is None:
            raise LeaseLost(
                f"the watermark of {run.source} to {run.to_side.value} was moved by another run; it was left there",
                run_no=run.run_no,
            )

    def write_figures(self, run_no: int, table: str, figures: Mapping[str, int]) -> None:
        """Record named figures of one table of a run, over those it had."""
        if not figures:
            return
        told = {"run": run_no, "told": table, "names": list(figures), "figures": list(figures.values())}
        self._connection.execute(say.WRITE_FIGURES, told)


def _from_now(seconds: int) -> sa.ColumnElement[Any]:
    return sa.func.clock_timestamp() + timedelta(seconds=seconds)


def _refuse_unfinished(run: Run, totals: Mapping[str, ChunkCounts], waiting: int) -> None:
    if waiting:
        raise LeaseLost(
            f"chunks of run {run.run_no} that are not done: {waiting}; another worker holds them, or held them when it "
            "died; the run stays open, and what was carried stays",
            hint="run the same command again; a chunk of a worker that died is free after five minutes",
            run_no=run.run_no,
        )
    for table, counts in totals.items():
        _refuse_unbalanced(table, counts)


def _lost_run(run: Run) -> LeaseLost:
    return LeaseLost(
        f"run {run.run_no} has ended or belongs to another owner; nothing of this attempt was written",
        run_no=run.run_no,
        attempt=run.attempt,
    )


def _refuse_unbalanced(table: str, counts: ChunkCounts) -> None:
    rows, parts = counts.rows, counts.parts
    if not rows.is_balanced:
        raise _broken(table, f"{rows.read} rows were read, {rows.accounted} are accounted for")
    if not parts.is_balanced:
        placed = parts.inserted + parts.updated + parts.unchanged + parts.merged
        raise _broken(table, f"{parts.emitted} parts were emitted, {placed} were placed")
    if not counts.is_split_exactly:
        emitting = rows.loaded + rows.unchanged
        raise _broken(table, f"{emitting} rows emitted {parts.emitted} parts, {parts.split} beyond the first of each")


def _broken(table: str, said: str) -> ConservationBroken:
    return ConservationBroken(
        f"the figures of {table} do not add up: {said}; nothing of this chunk was written",
        hint="banyan sync status",
        table=table,
    )
