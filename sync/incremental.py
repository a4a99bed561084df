"""One incremental run in four steps that may be four processes: may it, plan it, carry its chunks, finish it.

The run belongs to a `run_key`, shared by the processes that work on it; each chunk belongs to the process that carries
it. Whatever dies in between, the next call with the same key goes on where the ledger says.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import assert_never

import sqlalchemy as sa

from banyan.clock import now
from banyan.departments import Actor, Phase, Side, SourceRef
from banyan.errors import LeaseLost, SourceUnavailable, UsageError
from banyan.records import ChunkCounts
from store.held import refuse_broken
from store.journal import ProcessingEntry, append_processing
from store.ledger import Ledger, LedgerReader
from store.postgres import transaction
from store.runs import Run, RunState
from store.slices import SliceRow, read_slices
from store.tables import CHUNK
from sync.assembly import closures_of, open_rig
from sync.drift import Told, refuse_drift, tell_nobody, tell_tolerated
from sync.engine import RunResult, SyncEngine
from sync.forward import ForwardLane
from sync.gaps import refuse_unfollowed
from sync.owners import free_chunks_of_the_dead, this_owner
from sync.pruning import prune_capture
from sync.throttle import Throttle
from sync.workspace import Workspace

_LEASE_SECONDS = 300
_SYNCING = frozenset((Phase.SYNCING, Phase.READY))
_NOT_LOADED = frozenset((Phase.REGISTERED, Phase.ASSESSED, Phase.MAPPED))
_SWITCHED = frozenset((Phase.LIVE, Phase.COMPLETING, Phase.RETIRED))
_ROLLED_BACK = frozenset((Phase.R_DRAINING, Phase.R_VERIFYING, Phase.R_OPENING))


@dataclass(frozen=True, slots=True)
class Permission:
    """Whether a legacy system may be synchronised now, and why, in a sentence."""

    is_granted: bool
    reason: str


@dataclass(frozen=True, slots=True)
class ChunkRef:
    """A chunk of a run by reference: no key and no value of a record."""

    run_no: int
    chunk_no: int
    table: str


def may_sync(workspace: Workspace, source: SourceRef) -> Permission:
    """Ask the control database whether a legacy system may be synchronised now; nothing is opened but the store."""
    config = workspace.source_config(source)
    if not (config.is_database or config.is_one_way):
        return Permission(is_granted=False, reason=f"{source} is {config.medium}: it is carried only as a whole")
    slices = _slices_of(workspace, source)
    with transaction(workspace.engine("banyan_forward")) as connection:
        watermark = LedgerReader(connection).find_watermark(source, Side.CANONICAL)
    if watermark is None:
        return Permission(is_granted=False, reason=f"{source} has no first copy yet: banyan load {source}")
    return judge_slices(slices)


def judge_slices(slices: Sequence[SliceRow]) -> Permission:
    """Judge the slices of one legacy system: one owned by LEGACY and SYNCING or READY, none on the move."""
    followed = [row for row in slices if row.owner is Side.LEGACY and row.phase in _SYNCING]
    moving = [row for row in slices if row.phase not in _SYNCING | _NOT_LOADED | _SWITCHED]
    if moving:  # one watermark for all: the switch drains with runs of its own
        return Permission(is_granted=False, reason=f"{moving[0].closure} is {moving[0].phase.value}")
    if not followed:
        return Permission(is_granted=False, reason=f"nothing to follow: {_tell_phases(slices)}")
    return _permit(followed)


def may_carry_back(workspace: Workspace, source: SourceRef) -> Permission:
    """Ask the control database whether the way back may be walked now; nothing is opened but the store."""
    return judge_way_back(_slices_of(workspace, source))


def judge_way_back(slices: Sequence[SliceRow]) -> Permission:
    """Judge the slices of one legacy system: one LIVE, none being rolled back. What else moves is left alone."""
    rolled_back = [row for row in slices if row.phase in _ROLLED_BACK]
    if rolled_back:  # one way back for all: the rollback drains with runs of its own
        return Permission(is_granted=False, reason=f"{rolled_back[0].closure} is {rolled_back[0].phase.value}")
    live = [row for row in slices if row.phase is Phase.LIVE]
    if not live:
        return Permission(is_granted=False, reason=f"nothing to carry back: {_tell_phases(slices)}")
    return _permit(live)


def _permit(rows: Sequence[SliceRow]) -> Permission:
    """Permit to carry the changes of these slices, unless the store has restarted and nobody has looked yet."""
    latched = [row for row in rows if not row.is_armed]
    if latched:
        reason = f"the store has restarted and {latched[0].closure} is not armed yet: banyan guard"
        return Permission(is_granted=False, reason=reason)
    return Permission(is_granted=True, reason=_tell_phases(rows))


def _tell_phases(slices: Sequence[SliceRow]) -> str:
    return ", ".join(sorted({f"{row.closure} is {row.phase.value}" for row in slices})) or "no slice is registered"


def _slices_of(workspace: Workspace, source: SourceRef) -> list[SliceRow]:
    names = {found.name for found in closures_of(workspace, source, workspace.book(source))}
    with transaction(workspace.engine("banyan_forward")) as connection:
        return [row for row in read_slices(connection) if row.closure in names]


def plan_incremental(
    workspace: Workspace, source: SourceRef, *, run_key: str, actor: Actor, told: Told = tell_nobody
) -> list[ChunkRef]:
    """Open a run over what changed, or take back the one this key left open; gives its open chunks, none if no change.

    A run found with all its chunks done is finished here: it had lost only its last step. Without a change, a table
    whose changes nothing finds is refused by name. Drift that the project tolerates is told.
    """
    engine = _engine(workspace, run_key)
    _refuse_drift(workspace, source, told)
    with _lane(workspace, source) as lane:
        _refuse_busy(_throttle(lane), source)
        while (run := engine.open_changes(lane)) is not None:
            waiting = _waiting(workspace, run.run_no)
            if waiting:
                return waiting
            _close(engine, lane, run, actor)
    _refuse_unfollowed(workspace, source)
    return []


def carry_chunk(workspace: Workspace, source: SourceRef, *, run_no: int, run_key: str) -> ChunkCounts | None:
    """Carry the next free chunk of a run, exactly one; None when the run has none left to carry.

    Refuses, to be tried again, when the chunks left are held by other workers that may be alive.
    """
    run = _read(workspace, source, run_no)
    if run.state is RunState.DONE:
        return None
    with transaction(workspace.engine("banyan_forward")) as connection:
        Ledger(connection).renew_run(_held(run, run_key), lease_seconds=_LEASE_SECONDS)
        free_chunks_of_the_dead(connection, run_no, also=this_owner())  # it carries one at a time: it gave up on it
    with _lane(workspace, source) as lane:
        throttle = _throttle(lane)
        _refuse_busy(throttle, source)
        counts = SyncEngine(lane.setting.engine, throttle=throttle).carry_next(lane, run)
    if counts is None:
        _refuse_waiting(workspace, run)
    return counts


def finish_incremental(
    workspace: Workspace, source: SourceRef, *, run_no: int, run_key: str, actor: Actor, told: Told = tell_nobody
) -> RunResult:
    """Close a run whose chunks are all done and move the watermark with it; gives the result again when it is closed.

    The run is compared by owner and attempt in that transaction: when another owner took it over, nothing moves.
    Refuses, with the run closed, while there are tables whose changes nothing finds. Drift that the project tolerates
    is told.
    """
    run = _read(workspace, source, run_no)
    if run.state is RunState.DONE:
        done = _result_of(workspace, run)
    else:
        done = _finish(workspace, _held(run, run_key), actor)
    rig = open_rig(workspace, source)
    try:
        tell_tolerated(rig, told)
        prune_capture(rig)
        refuse_unfollowed(rig)
    finally:
        rig.close()
    return done


def _finish(workspace: Workspace, run: Run, actor: Actor) -> RunResult:
    while carry_chunk(workspace, run.source, run_no=run.run_no, run_key=run.owner) is not None:
        pass  # chunks that grew while the planned ones were carried: children of a parent that was filtered
    _refuse_waiting(workspace, run)
    with _lane(workspace, run.source) as lane:
        return _close(_engine(workspace, run.owner), lane, run, actor)


def sync_once(workspace: Workspace, source: SourceRef, *, run_key: str, actor: Actor) -> RunResult | None:
    """Do the steps of one incremental run in this process; None when nothing changed."""
    planned = plan_incremental(workspace, source, run_key=run_key, actor=actor)
    if not planned:
        return None
    run_no = planned[0].run_no
    while carry_chunk(workspace, source, run_no=run_no, run_key=run_key) is not None:
        pass
    return finish_incremental(workspace, source, run_no=run_no, run_key=run_key, actor=actor)


@contextmanager
def _lane(workspace: Workspace, source: SourceRef) -> Iterator[ForwardLane]:
    rig = open_rig(workspace, source)
    try:
        yield rig.forward()
    finally:
        rig.close()


def _refuse_drift(workspace: Workspace, source: SourceRef, told: Told) -> None:
    rig = open_rig(workspace, source)
    try:
        refuse_drift(rig, before_each=lambda: _refuse_busy(rig.throttle(), source), told=told)
    finally:
        rig.close()


def _refuse_unfollowed(workspace: Workspace, source: SourceRef) -> None:
    rig = open_rig(workspace, source)
    try:
        refuse_unfollowed(rig)
    finally:
        rig.close()


def _engine(workspace: Workspace, run_key: str) -> SyncEngine:
    return SyncEngine(workspace.engine("banyan_forward"), owner=run_key)


def _close(engine: SyncEngine, lane: ForwardLane, run: Run, actor: Actor) -> RunResult:
    """Write the processing log, then close the run: dying in between leaves an entry twice, never none."""
    entry = ProcessingEntry(
        actor=actor,
        department_code=run.source.department_code,
        operation="collection",
        reason=f"changes along {lane.route}",
        record_refs=(str(run.source),),
        run_no=run.run_no,
    )
    with transaction(lane.setting.engine) as connection:
        append_processing(connection, entry)
    return engine.finish(lane, run)


def _read(workspace: Workspace, source: SourceRef, run_no: int) -> Run:
    """Read a run of this route that is open or done; refuses one that is held, or was given up."""
    with transaction(workspace.engine("banyan_forward")) as connection:
        run = LedgerReader(connection).read_run(run_no)
        if (run.source, run.to_side) != (source, Side.CANONICAL):
            raise UsageError(f"run {run_no} is not one of {source} to CANONICAL; nothing was carried", run_no=run_no)
        refuse_broken(connection, run)
    match run.state:
        case RunState.OPEN | RunState.DONE:
            return run
        case RunState.FAILED | RunState.CANCELLED:
            raise UsageError(
                f"run {run_no} of {source} was closed as {run.state.value}; nothing was carried",
                hint="banyan sync status",
                run_no=run_no,
            )
        case _:
            assert_never(run.state)


def _held(run: Run, run_key: str) -> Run:
    if run.owner != run_key:
        raise LeaseLost(
            f"run {run.run_no} of {run.source} was taken over by {run.owner}; nothing was written",
            hint="banyan sync status",
            run_no=run.run_no,
        )
    return run


def _waiting(workspace: Workspace, run_no: int) -> list[ChunkRef]:
    query = sa.select(CHUNK.c.chunk_no, CHUNK.c.table_name).where(CHUNK.c.run_no == run_no, CHUNK.c.state != "DONE")
    with transaction(workspace.engine("banyan_forward")) as connection:
        rows = connection.execute(query.order_by(CHUNK.c.chunk_no))
        return [ChunkRef(run_no, number, table) for number, table in rows]


def _refuse_waiting(workspace: Workspace, run: Run) -> None:
    waiting = _waiting(workspace, run.run_no)
    if waiting:
        raise LeaseLost(
            f"run {run.run_no} of {run.source} has {len(waiting)} chunks that another worker holds; it stays open",
            hint="wait for their leases (5 minutes), then run the same step again",
            run_no=run.run_no,
        )


def _throttle(lane: ForwardLane) -> Throttle:
    setting = lane.setting
    return Throttle(setting.engine, setting.source, setting.department, setting.port)


def _refuse_busy(throttle: Throttle, source: SourceRef) -> None:
    """Refuse, to be tried again, while the legacy system may not be read: a clock does not wait, it comes back."""
    obstacle = throttle.find_obstacle(now())
    if obstacle:
        raise SourceUnavailable(
            f"{source} may not be read now: {obstacle}; nothing was read",
            hint=f"banyan sync throttle {source.department_code}",
        )


def _result_of(workspace: Workspace, run: Run) -> RunResult:
    with transaction(workspace.engine("banyan_forward")) as connection:
        totals = LedgerReader(connection).read_totals(run.run_no)
    if run.until_position is None:
        raise UsageError(f"run {run.run_no} names no Position to reach; nothing was changed", run_no=run.run_no)
    return RunResult(run.run_no, totals, run.until_position)
