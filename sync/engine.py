"""The one loop, either way: open or resume a run, carry its chunks, check that every row is accounted for.

A run is held under a lease; when its owner was a process of this machine that is dead, it is taken over at once.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy.engine import Connection, Engine

from banyan.clock import monotonic
from banyan.departments import Side
from banyan.errors import ConservationBroken, LeaseLost, UsageError
from banyan.records import ChunkCounts, KeyRange, Position
from store.accounts import refuse_unlisted_run
from store.held import hold_run, refuse_broken, refuse_held
from store.ledger import Ledger, LedgerReader
from store.postgres import asking, transaction
from store.reached import note_nothing_left
from store.runs import ChunkLease, ChunkPlan, Run, RunKind, RunProgress, RunRequest, RunState, figures_of
from store.takeover import release_run
from sync.lane import Checkpoint, Lane, Step, pass_by
from sync.owners import free_chunks_of_the_dead, is_dead, this_owner
from sync.throttle import Throttle

_RENEW_SECONDS = 20.0  # of a lease of 120


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is, for people and machines."""

    run_no: int
    table: str
    chunks_done: int
    chunks: int
    rows: int
    seconds: float
    waiting: str = ""
    """Why nothing is read at this moment; empty while the run goes on."""
    chunks_before: int = 0
    """How many chunks were done when this process began to carry."""

    @property
    def rows_per_second(self) -> float:
        """Give the rate so far."""
        return self.rows / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float:
        """Forecast what is left, from the pace since this process began; chunks done before say nothing of it."""
        carried = self.chunks_done - self.chunks_before
        return self.seconds / carried * (self.chunks - self.chunks_done) if carried > 0 else 0.0


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


class Stopwatch:
    """Takes the time between a chunk's lease and the moment its rows were read: what it cost the legacy server."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        self._began = monotonic()
        self.reading_seconds = 0.0

    def pass_point(self, step: Step) -> None:
        """Note the time of a named point, and pass it on."""
        if step is Step.LEASED:
            self._began = monotonic()
        elif step is Step.READ:
            self.reading_seconds = monotonic() - self._began
        self._checkpoint(step)


class Beside(Protocol):
    """Processes that carry chunks of a run beside the one that opened it."""

    def carry(self, run: Run) -> None:
        """Begin to carry the chunks of a run that nobody holds."""

    def wait(self) -> None:
        """Wait until none of them carries a chunk any more."""


class SyncEngine:
    """Runs lanes and keeps their ledger."""

    def __init__(
        self,
        engine: Engine,
        *,
        watcher: Watcher = watch_nothing,
        checkpoint: Checkpoint = pass_by,
        owner: str | None = None,
        throttle: Throttle | None = None,
    ) -> None:
        self._engine = engine
        self._watcher = watcher
        self._checkpoint = checkpoint
        self._throttle = throttle
        self._renewed_at = monotonic()
        self._waited = 0.0  # seconds in which nothing was allowed to be read: they say nothing of the pace
        self._first: ChunkLease | None = None
        self.owner = owner or this_owner()  # a name that several processes share keeps a run among them

    def load(
        self,
        lane: Lane,
        plans: Callable[[], Sequence[ChunkPlan]],
        *,
        rules_digest: str,
        beside: Beside | None = None,
    ) -> RunResult:
        """Make the first copy, or resume it; capture must be installed before, its Position is taken first."""
        start = self._find_first_start(lane) or lane.head()
        run = self._open(lane, RunKind.LOAD, start, start, plans, rules_digest)
        if beside is None:
            self.carry_all(lane, run)
            return self._finish(lane, run)
        beside.carry(run)
        self.carry_all(lane, run)
        beside.wait()
        with transaction(self._engine) as connection:
            free_chunks_of_the_dead(connection, run.run_no)
        self.carry_all(lane, run)  # what one of them left behind
        return self._finish(lane, run)

    def advance(self, lane: Lane, kind: RunKind = RunKind.CHANGES) -> RunResult | None:
        """Carry what changed since the watermark; gives None when nothing did."""
        opened = self.open_changes(lane, kind, takes_first=self._throttle is None)
        if opened is None:
            return None
        self.carry_all(lane, opened)
        return self._finish(lane, opened)

    def open_changes(self, lane: Lane, kind: RunKind = RunKind.CHANGES, *, takes_first: bool = False) -> Run | None:
        """Open a run over what changed since the watermark, or resume the one left open; None when nothing changed.

        With `takes_first`, its first chunk is leased in the same transaction, to be carried by this process.
        """
        since = lane.watermark()
        if since is None:
            raise UsageError(
                f"{lane.route} has no first copy yet; nothing was carried",
                hint=f"banyan load {lane.route.source.department_code}",
            )
        with asking(self._engine) as connection:
            refuse_held(connection, lane.route.source, lane.route.to)
            left_open = LedgerReader(connection).find_open_run(lane.route.source, lane.route.to)
        if left_open is not None:
            return self._open(lane, left_open.kind, since, since, tuple, "")
        looked = monotonic()
        until = lane.head()
        plans = lane.plan_changes(since, until)
        if not plans:
            self._note_nothing_left(lane, since, looked)
            return None
        request = self._request(lane, kind, since, until)
        return self._open_or_resume(lane, request, lambda: plans, takes_first=takes_first)

    def _note_nothing_left(self, lane: Lane, since: Position, looked: float) -> None:
        """Note that nothing waited at a look, or a quiet night reads as hours of lag; the way back notes its own."""
        if lane.route.to is Side.CANONICAL:
            with asking(self._engine) as connection:
                note_nothing_left(connection, lane.route.source, since, seconds_ago=monotonic() - looked)

    def carry_keys(self, lane: Lane, plans: Sequence[ChunkPlan], *, mark: str = "") -> RunResult | None:
        """Read the rows of some keys again, in a run of its own that leaves the watermark where it is.

        A run left open is refused, unless it carries the same mark: then it is that one, and it is resumed.
        """
        since = lane.watermark()
        if not plans or since is None:
            return None
        with transaction(self._engine) as connection:
            left_open = LedgerReader(connection).find_open_run(lane.route.source, lane.route.to)
            left_mark = None if left_open is None else LedgerReader(connection).read_mark(left_open.run_no)
        if left_open is not None and (not mark or left_mark != mark):
            raise LeaseLost(
                f"run {left_open.run_no} of {lane.route} was left open and would be resumed instead; nothing was read",
                hint="banyan sync run",
                run_no=left_open.run_no,
            )
        run = self._open(lane, RunKind.CHANGES, since, since, lambda: plans, mark)
        self.carry_all(lane, run)
        return self._finish(lane, run)

    def carry_all(self, lane: Lane, run: Run) -> None:
        """Carry every chunk of a run that nobody else holds."""
        began, is_watched = monotonic() - self._waited, self._watcher is not watch_nothing
        with asking(self._engine) as connection:
            before = LedgerReader(connection).read_progress(run.run_no) if is_watched else RunProgress()
        while self.carry_next(lane, run) is not None:
            if not is_watched and monotonic() - self._renewed_at < _RENEW_SECONDS:
                continue  # nobody looks, and the lease is young: a small chunk costs less than telling of it
            with self._holding(run), transaction(self._engine) as connection:
                ledger = Ledger(connection)
                ledger.renew_run(run)
                now = ledger.read_progress(run.run_no)
            self._renewed_at = monotonic()
            rows, seconds = now.rows - before.rows, monotonic() - self._waited - began
            told = Progress(
                run.run_no, str(lane.route), now.done, now.planned, rows, seconds, chunks_before=before.done
            )
            self._watcher(told)

    def carry_next(self, lane: Lane, run: Run) -> ChunkCounts | None:
        """Lease and carry the next chunk of a run; None when there is none to take."""
        with self._holding(run):
            return self._carry_next(lane, run)

    def _carry_next(self, lane: Lane, run: Run) -> ChunkCounts | None:
        throttle = self._throttle
        if throttle is not None:
            began = monotonic()
            throttle.wait(lambda reason: self._wait(lane, run, reason))
            self._waited += monotonic() - began
        lease = self._take(run)
        if lease is None:
            return None
        watch = Stopwatch(self._checkpoint)
        counts = lane.carry(lease, watch.pass_point)
        if throttle is not None and isinstance(lease.keys, KeyRange):
            throttle.learn(lease.table, counts.rows.read, watch.reading_seconds)
        return counts

    def _take(self, run: Run) -> ChunkLease | None:
        """Lease the next chunk; the one that was leased with the opening of its run comes first."""
        lease, self._first = self._first, None
        if lease is not None and lease.run_no == run.run_no:
            return lease
        if self._throttle is None:
            with asking(self._engine) as connection:  # one statement, which commits alone
                return Ledger(connection).take_chunk(run.run_no, self.owner)
        with transaction(self._engine) as connection:
            ledger = Ledger(connection)
            lease = ledger.take_chunk(run.run_no, self.owner)
            return None if lease is None else self._throttle.shorten(ledger, run, lease)

    def _wait(self, lane: Lane, run: Run, reason: str) -> None:
        """Keep the run while nothing is read, and say why; ends when the run was cancelled or taken over."""
        if monotonic() - self._renewed_at >= _RENEW_SECONDS:
            with transaction(self._engine) as connection:
                Ledger(connection).renew_run(run)
            self._renewed_at = monotonic()
        with transaction(self._engine) as connection:
            reader = LedgerReader(connection)
            progress = reader.read_progress(run.run_no)
            if reader.read_run(run.run_no).state is not RunState.OPEN:
                raise LeaseLost(
                    f"run {run.run_no} of {lane.route} was ended while it waited; nothing more was read",
                    hint="banyan sync status",
                    run_no=run.run_no,
                )
        self._watcher(Progress(run.run_no, str(lane.route), progress.done, progress.planned, 0, 0.0, reason))

    def _find_first_start(self, lane: Lane) -> Position | None:
        """Find where a first copy began that was cancelled: its rows stand, and what was deleted since must be seen."""
        with transaction(self._engine) as connection:
            runs = LedgerReader(connection).read_runs(lane.route.source)
        loads = [run for run in runs if run.kind is RunKind.LOAD and run.to_side is lane.route.to]
        if any(run.state is RunState.DONE for run in loads):
            return None
        begun = [run.from_position for run in loads]  # of one that is open: it is resumed, and needs no look
        return begun[-1] if begun else None

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
        return self._open_or_resume(lane, self._request(lane, kind, since, until, rules_digest), plans)

    def _request(
        self, lane: Lane, kind: RunKind, since: Position, until: Position, rules_digest: str = ""
    ) -> RunRequest:
        return RunRequest(
            source=lane.route.source,
            to_side=lane.route.to,
            kind=kind,
            owner=self.owner,
            from_position=since,
            until_position=until,
            rules_digest=rules_digest or None,
        )

    def _open_or_resume(
        self, lane: Lane, request: RunRequest, plans: Callable[[], Sequence[ChunkPlan]], *, takes_first: bool = False
    ) -> Run:
        with transaction(self._engine) as connection:
            refuse_held(connection, request.source, request.to_side)
            ledger = Ledger(connection)
            run, first = ledger.open_new(request), None
            if run is not None:
                ledger.write_first_chunks(run, plans())
                first = ledger.take_chunk(run.run_no, self.owner) if takes_first else None
            else:
                self._release_dead(connection, lane)
                run = ledger.take_over(request)
                if not ledger.read_progress(run.run_no).planned:
                    ledger.write_chunks(run, plans())
        self._first = first
        return run

    def _release_dead(self, connection: Connection, lane: Lane) -> None:
        """End the leases of a run whose owner is a dead process of this machine."""
        run = LedgerReader(connection).find_open_run(lane.route.source, lane.route.to)
        if run is not None and (is_dead(run.owner) or run.owner == self.owner):
            release_run(connection, run)
            free_chunks_of_the_dead(connection, run.run_no)  # those who worked beside it

    def _finish(self, lane: Lane, run: Run) -> RunResult:
        until = run.until_position
        if until is None:
            raise LeaseLost(f"run {run.run_no} names no Position to reach; it stays open", run_no=run.run_no)
        expected = lane.watermark()
        with self._holding(run), transaction(self._engine) as connection:
            ledger = Ledger(connection)
            totals = ledger.close_run(run, RunState.DONE)
            if run.kind is RunKind.LOAD:
                refuse_unlisted_run(connection, run, totals)
            # the Position of a route to LEGACY stands in the legacy store, committed with its rows
            if lane.route.to is Side.CANONICAL and expected != until:
                ledger.write_watermark(run, until, expected=expected)
        return RunResult(run.run_no, totals, until)

    @contextmanager
    def _holding(self, run: Run) -> Iterator[None]:
        """Hold the route of a run whose figures do not add up; whoever loses a run so hears what another found."""
        try:
            yield
        except ConservationBroken as broken:
            self._hold(run, broken)
            raise
        except LeaseLost:
            with asking(self._engine) as connection:
                refuse_broken(connection, run)
            raise

    def _hold(self, run: Run, broken: ConservationBroken) -> None:
        """Let the route stand still until a person has looked: a run opened anew would cover what was found."""
        with transaction(self._engine) as connection:
            ledger = Ledger(connection)
            for table, counts in ledger.read_totals(run.run_no).items():
                ledger.write_figures(run.run_no, table, figures_of(counts))
            hold_run(connection, run, broken.message)
