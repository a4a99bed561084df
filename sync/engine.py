"""The one loop, either way: open or resume a run, carry its chunks, check that every row is accounted for.

A run is held under a lease; when its owner was a process of this machine that is dead, it is taken over at once.
"""

import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import Engine

from banyan.clock import monotonic
from banyan.departments import Side
from banyan.errors import LeaseLost, UsageError
from banyan.records import ChunkCounts, Position
from store.ledger import Ledger, LedgerReader
from store.postgres import transaction
from store.runs import ChunkPlan, Run, RunKind, RunRequest, RunState
from store.takeover import release_run
from sync.lane import Checkpoint, Lane, pass_by


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is, for people and machines."""

    run_no: int
    table: str
    chunks_done: int
    chunks: int
    rows: int
    seconds: float

    @property
    def seconds_left(self) -> float:
        """Forecast what is left, from the pace so far."""
        return self.seconds / self.chunks_done * (self.chunks - self.chunks_done) if self.chunks_done else 0.0


Watcher = Callable[[Progress], None]


def watch_nothing(_: Progress) -> None:
    """Ignore progress."""


@dataclass(frozen=True, slots=True)
class RunResult:
    """What one run did, by legacy table."""

    run_no: int
    totals: dict[str, ChunkCounts]
    until: Position

    @property
    def total(self) -> ChunkCounts:
        """Give the counts of all tables together."""
        return sum(self.totals.values(), ChunkCounts())


def this_owner() -> str:
    """Name this process, so that another one can tell whether it is dead: host, process, start of the process."""
    return f"{socket.gethostname()}:{os.getpid()}:{_started(os.getpid())}"


def _started(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except OSError:
        return ""


def is_dead(owner: str) -> bool:
    """Tell whether an owner was a process of this machine that has ended; False when that cannot be known."""
    host, _, rest = owner.partition(":")
    pid, _, started = rest.partition(":")
    if host != socket.gethostname() or not pid.isdigit() or not started:
        return False
    return _started(int(pid)) != started


class SyncEngine:
    """Runs lanes and keeps their ledger."""

    def __init__(
        self,
        engine: Engine,
        *,
        watcher: Watcher = watch_nothing,
        checkpoint: Checkpoint = pass_by,
        owner: str | None = None,
    ) -> None:
        self._engine = engine
        self._watcher = watcher
        self._checkpoint = checkpoint
        self.owner = owner or this_owner()  # a name that several processes share keeps a run among them

    def load(self, lane: Lane, plans: Callable[[], Sequence[ChunkPlan]], *, rules_digest: str) -> RunResult:
        """Make the first copy, or resume it; capture must be installed before, its Position is taken first."""
        start = lane.head()
        run = self._open(lane, RunKind.LOAD, start, start, plans, rules_digest)
        self.carry_all(lane, run)
        return self._finish(lane, run)

    def advance(self, lane: Lane, kind: RunKind = RunKind.CHANGES) -> RunResult | None:
        """Carry what changed since the watermark; gives None when nothing did."""
        opened = self.open_changes(lane, kind)
        if opened is None:
            return None
        self.carry_all(lane, opened)
        return self._finish(lane, opened)

    def open_changes(self, lane: Lane, kind: RunKind = RunKind.CHANGES) -> Run | None:
        """Open a run over what changed since the watermark, or resume the one left open; None when nothing changed."""
        since = lane.watermark()
        if since is None:
            raise UsageError(
                f"{lane.route} has no first copy yet; nothing was carried",
                hint=f"banyan load {lane.route.source.department_code}",
            )
        with transaction(self._engine) as connection:
            left_open = LedgerReader(connection).find_open_run(lane.route.source, lane.route.to)
        if left_open is not None:
            return self._open(lane, left_open.kind, since, since, tuple, "")
        until = lane.head()
        plans = lane.plan_changes(since, until)
        if not plans:
            return None
        return self._open(lane, kind, since, until, lambda: plans, "")

    def carry_keys(self, lane: Lane, plans: Sequence[ChunkPlan]) -> RunResult | None:
        """Read the rows of some keys again, in a run of its own that leaves the watermark where it is."""
        since = lane.watermark()
        if not plans or since is None:
            return None
        with transaction(self._engine) as connection:
            left_open = LedgerReader(connection).find_open_run(lane.route.source, lane.route.to)
        if left_open is not None:
            raise LeaseLost(
                f"run {left_open.run_no} of {lane.route} was left open and would be resumed instead; nothing was read",
                hint="banyan sync run",
                run_no=left_open.run_no,
            )
        run = self._open(lane, RunKind.CHANGES, since, since, lambda: plans, "")
        self.carry_all(lane, run)
        return self._finish(lane, run)

    def carry_all(self, lane: Lane, run: Run) -> None:
        """Carry every chunk of a run that nobody else holds."""
        began, rows = monotonic(), 0
        while (counts := self.carry_next(lane, run)) is not None:
            rows += counts.rows.read
            with transaction(self._engine) as connection:
                ledger = Ledger(connection)
                ledger.renew_run(run)
                progress = ledger.read_progress(run.run_no)
            done, planned = (sum(column) for column in zip(*progress.values(), strict=True))
            self._watcher(Progress(run.run_no, str(lane.route), done, planned, rows, monotonic() - began))

    def carry_next(self, lane: Lane, run: Run) -> ChunkCounts | None:
        """Lease and carry the next chunk of a run; None when there is none to take."""
        with transaction(self._engine) as connection:
            lease = Ledger(connection).take_chunk(run.run_no, self.owner)
        return None if lease is None else lane.carry(lease, self._checkpoint)

    def finish(self, lane: Lane, run: Run) -> RunResult:
        """Close a run whose chunks are all done; its watermark moves in the same transaction."""
        return self._finish(lane, run)

    def _open(
        self,
        lane: Lane,
        kind: RunKind,
        since: Position,
        until: Position,
        plans: Callable[[], Sequence[ChunkPlan]],
        rules_digest: str,
    ) -> Run:
        self._release_dead(lane)
        request = RunRequest(
            source=lane.route.source,
            to_side=lane.route.to,
            kind=kind,
            owner=self.owner,
            from_position=since,
            until_position=until,
            rules_digest=rules_digest or None,
        )
        with transaction(self._engine) as connection:
            ledger = Ledger(connection)
            run = ledger.open_run(request)
            if not ledger.read_progress(run.run_no):
                ledger.write_chunks(run, plans())
        return run

    def _release_dead(self, lane: Lane) -> None:
        """End the leases of a run whose owner is a dead process of this machine."""
        with transaction(self._engine) as connection:
            ledger = Ledger(connection)
            run = ledger.find_open_run(lane.route.source, lane.route.to)
            if run is not None and (is_dead(run.owner) or run.owner == self.owner):
                release_run(connection, run)

    def _finish(self, lane: Lane, run: Run) -> RunResult:
        until = run.until_position
        if until is None:
            raise LeaseLost(f"run {run.run_no} names no Position to reach; it stays open", run_no=run.run_no)
        expected = lane.watermark()
        with transaction(self._engine) as connection:
            ledger = Ledger(connection)
            totals = ledger.read_totals(run.run_no)
            ledger.close_run(run, RunState.DONE)
            # the Position of a route to LEGACY stands in the legacy store, committed with its rows
            if lane.route.to is Side.CANONICAL and expected != until:
                ledger.write_watermark(run, until, expected=expected)
        return RunResult(run.run_no, totals, until)
