"""Mapping again what was received, by the rules as they are now; the legacy system is not touched."""

from collections.abc import Sequence
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from banyan.departments import Actor, Phase, Side
from banyan.errors import StoreFenced, UsageError
from banyan.records import ChunkCounts
from mappings.closure import load_order
from store.journal import ProcessingEntry, append_processing
from store.postgres import transaction
from store.runs import ChunkPlan, RunKind, RunState
from store.tables import RUN
from sync.assembly import Rig
from sync.engine import RunResult, Watcher, watch_nothing
from sync.forward import ForwardLane
from sync.lane import Checkpoint, pass_by
from sync.movement import Carried
from sync.received import ReceivedPort, find_received

_OPEN_TO_REPLAY = (Phase.SYNCING, Phase.READY)


def open_received(rig: Rig) -> ReceivedPort:
    """Open what was received of a legacy system."""
    with transaction(rig.workspace.engine("banyan_forward")) as connection:
        return ReceivedPort(rig.source, rig.book, rig.workspace.landing, find_received(connection, rig.source))


def replay(
    rig: Rig,
    actor: Actor,
    tables: Sequence[str] = (),
    *,
    watcher: Watcher = watch_nothing,
    checkpoint: Checkpoint = pass_by,
) -> Carried | None:
    """Map every row of these tables (all, when none is named) again as it was received; None when there is none.

    Resumes a replay under the same rules that was left open. The watermark stays where it is.
    """
    unknown = sorted(set(tables) - set(rig.book.rulesets))
    if unknown:
        raise UsageError(
            f"no rule is about {', '.join(unknown)}; there are rules for {', '.join(sorted(rig.book.rulesets))}; "
            "nothing was read"
        )
    chosen = [table for table in load_order(rig.book) if not tables or table in tables]
    refuse_moved(rig, chosen)
    refuse_written_back(rig)
    received = open_received(rig)
    lane = ForwardLane(replace(rig.setting("banyan_forward"), port=received), rig.workspace.landing)
    plans = received.plan([table for table in chosen if table in received.tables()])
    told = (f"replay of {', '.join(tables) or 'all tables'} from parcels", f"replay {rig.book.digest}")
    return carry_again(rig, actor, (lane, plans), told=told, watcher=watcher, checkpoint=checkpoint)


def carry_again(
    rig: Rig,
    actor: Actor,
    work: tuple[ForwardLane, Sequence[ChunkPlan]],
    *,
    told: tuple[str, str],
    watcher: Watcher = watch_nothing,
    checkpoint: Checkpoint = pass_by,
) -> Carried | None:
    """Carry planned keys in a run of its own, named by a mark under which it is resumed; logged with the run."""
    lane, plans = work
    reason, mark = told
    engine = rig.forward_engine(watcher=watcher, checkpoint=checkpoint)
    result = engine.carry_keys(lane, plans, mark=mark)
    if result is None:
        return None
    _log(rig, actor, reason, result)
    return Carried(str(lane.route), result.run_no, RunKind.CHANGES, result.totals)


def find_moved(rig: Rig, tables: Sequence[str]) -> tuple[str, str] | None:
    """Find a closure of these tables that the legacy side does not own: its name, and where it is; None when none."""
    for found in rig.closures:
        if not set(found.tables) & set(tables):
            continue
        row = rig.slices(found.name)[0]
        if row.owner is not Side.LEGACY or row.phase not in _OPEN_TO_REPLAY:
            return found.name, f"{found.name} is {row.phase.value} and owned by {row.owner.value}"
    return None


def refuse_moved(rig: Rig, tables: Sequence[str]) -> None:
    """Refuse tables whose closure is not owned by the legacy side: what people do in the new system would be lost."""
    moved = find_moved(rig, tables)
    if moved is not None:
        name, where = moved
        raise StoreFenced(
            f"{where}: rows of it are not mapped again; nothing was written",
            hint=f"banyan switch status {name}",
            closure=name,
        )


def refuse_written_back(rig: Rig) -> None:
    """Refuse a system that was written back to since its first copy: its parcels are not its last state any more."""
    runs = (
        RUN.c.department_code == rig.source.department_code,
        RUN.c.system_code == rig.source.system_code,
        RUN.c.state == RunState.DONE.value,
    )
    with transaction(rig.workspace.engine("banyan_forward")) as connection:
        last_load = _last(connection, *runs, RUN.c.kind == RunKind.LOAD.value)
        last_back = _last(connection, *runs, RUN.c.to_side == Side.LEGACY.value)
    if last_load is None:
        raise UsageError(
            f"{rig.source} has no first copy yet; nothing was read", hint=f"banyan load {rig.source.department_code}"
        )
    if last_back is not None and last_back > last_load:
        raise UsageError(
            f"run {last_back} wrote rows back to {rig.source}: what was received before is not how they are now; "
            "nothing was read",
            hint="change the rules and let `banyan recon run` name the rows that differ",
            run_no=last_back,
        )


def _last(connection: Connection, *conditions: sa.ColumnElement[bool]) -> int | None:
    found: int | None = connection.scalar(sa.select(sa.func.max(RUN.c.run_no)).where(*conditions))
    return found


def _log(rig: Rig, actor: Actor, reason: str, result: RunResult) -> None:
    total = sum(result.totals.values(), ChunkCounts())
    entry = ProcessingEntry(
        actor=actor,
        department_code=rig.source.department_code,
        operation="alteration",
        reason=f"{reason}: {total.rows.read} rows",
        record_refs=(str(rig.source),),
        run_no=result.run_no,
    )
    with transaction(rig.workspace.engine("banyan_forward")) as connection:
        append_processing(connection, entry)
