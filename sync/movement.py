"""What `load` and `sync` do, as functions that a person, the demo and a clock can call: first copy, changes, way back.

Every function may run again at any time: it resumes what was left open, or finds nothing to do.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

from banyan.clock import monotonic, now, today
from banyan.config import OperatingSystemActors
from banyan.departments import Actor, Closure, Phase, Side, SourceRef
from banyan.errors import BanyanError, StoreFenced, UsageError
from banyan.records import ChunkCounts
from connectors.database import DatabasePort
from mappings.outcomes import MapContext
from mappings.retention_facts import FactReader
from mappings.retention_sources import load_retention_sources
from store.buckets import mark_everything
from store.journal import ProcessingEntry, append_processing
from store.ledger import LedgerReader
from store.postgres import raw, transaction
from store.reached import note_carried_back
from store.records import analyze_records, index_references
from store.runs import RunKind, RunState
from store.slices import Expected, Target, transition
from sync.assembly import CARRIED_BACK, Rig, open_port
from sync.drift import Told, refuse_drift, tell_nobody
from sync.engine import RunResult, SyncEngine, Watcher, watch_nothing
from sync.forward import ForwardLane
from sync.gaps import refuse_unfollowed
from sync.ladder import change_way
from sync.lane import Checkpoint, pass_by
from sync.pruning import prune_capture
from sync.real_files import apply_after_load, find_after_load, load_files
from sync.retention import JudgedSource, judge_source, remember_terms
from sync.sweeping import sweep_gaps
from sync.waiting import Breath, breathe
from sync.workers import beside
from sync.workspace import Workspace

_BEFORE = (Phase.REGISTERED, Phase.ASSESSED, Phase.MAPPED, Phase.LOADING)
_OPEN_TO_LOAD = (*_BEFORE, Phase.SYNCING, Phase.READY)


@dataclass(frozen=True, slots=True)
class Carried:
    """What one run of one route did; `is_new` is False when the run had ended before and is only told again."""

    route: str
    run_no: int
    kind: RunKind
    totals: dict[str, ChunkCounts]
    is_new: bool = True
    after_load: int | None = None
    """Rows changed by the statement that follows the load; None where the source declares none."""

    @property
    def total(self) -> ChunkCounts:
        """Give the counts of all tables together."""
        return sum(self.totals.values(), ChunkCounts())


def sources_of(workspace: Workspace, code: str) -> list[SourceRef]:
    """Name the legacy systems of a department; refuses a department without any."""
    workspace.project.department(code)
    found = [SourceRef(code, system) for system in workspace.project.departments[code].sources]
    if not found:
        raise UsageError(f"department {code} has no legacy system in the project; nothing was read")
    return found


def actor_of(workspace: Workspace) -> Actor:
    """Name who is at the keyboard, for the journal and the processing log."""
    return OperatingSystemActors(workspace.project.people).current()


def first_copy(
    rig: Rig,
    actor: Actor,
    *,
    watcher: Watcher = watch_nothing,
    checkpoint: Checkpoint = pass_by,
    workers: int = 1,
    told: Told = tell_nobody,
) -> Carried:
    """Make or resume the first copy of a legacy system; its slices end in SYNCING. A second time it only tells.

    Databases are read by so many processes; files and what is only looked at are read by one.
    """
    _refuse_moved(rig)
    before_each = breathe(rig, watcher)
    refuse_drift(rig, before_each=before_each, told=told)
    lane = rig.forward()
    done = _find_first_copy(rig)
    if done is not None:
        changed_over = _catch_up(rig, actor, watcher)
        done = replace(changed_over or done, after_load=_follow(rig))
        _advance_phases(rig, Phase.SYNCING, actor)  # a copy that ended just before its slices were moved
        return done
    _advance_phases(rig, Phase.LOADING, actor)
    if not _is_begun(rig):  # else the run that is resumed waits by itself
        _judge_terms(rig, before_each)
        before_each()
    engine = rig.forward_engine(watcher=watcher, checkpoint=checkpoint, throttle=rig.throttle())
    if rig.is_write_once:
        result = load_files(engine, lane)
    elif workers > 1 and isinstance(rig.port, DatabasePort):
        with beside(rig, workers - 1) as others:
            result = engine.load(lane, lane.plan_load, rules_digest=rig.book.digest, beside=others)
    else:
        result = engine.load(lane, lane.plan_load, rules_digest=rig.book.digest)
    changed = _follow(rig)
    after_load = rig.workspace.source_config(rig.source).after_load
    with transaction(rig.workspace.engine("banyan_forward")) as connection:
        for table in after_load.writes if after_load and changed else ():
            mark_everything(connection, table, rig.source.department_code)
        index_references(raw(connection), rig.source.department_code)
        analyze_records(raw(connection))
    _log(rig, actor, "banyan_forward", ("collection", f"first copy of {rig.source}", result.run_no))
    _catch_up(rig, actor, watcher)
    _advance_phases(rig, Phase.SYNCING, actor)
    return Carried(str(lane.route), result.run_no, RunKind.LOAD, result.totals, after_load=changed)


def _is_begun(rig: Rig) -> bool:
    with transaction(rig.workspace.engine("banyan_forward")) as connection:
        return LedgerReader(connection).find_open_run(rig.source, Side.CANONICAL) is not None


def _judge_terms(rig: Rig, before_each: Breath) -> None:
    """Judge until when rows may be kept, before the first is loaded; a copy that was begun is not judged anew."""
    setting = rig.setting("banyan_forward")
    if setting.retention is None:
        return
    reader = FactReader(setting.retention, rig.book, setting.context())
    judged = judge_source(rig.port, reader, as_of=today(), before_each=before_each)
    remember_terms(setting, setting.retention, judged.terms)


def judge_archives(workspace: Workspace, source: SourceRef) -> JudgedSource | None:
    """Judge what of a legacy system is past its term today, from its own tables; None when its rules do not say."""
    book = workspace.book(source)
    sources = load_retention_sources(workspace.rules_folder(source), book)
    if sources is None:
        return None
    department = workspace.project.department(source.department_code)
    context = MapContext(department.code, source.system_code, department.time_zone, workspace.digest_key, today())
    port = open_port(workspace, source)
    try:
        return judge_source(port, FactReader(sources, book, context), as_of=context.as_of)
    finally:
        if isinstance(port, DatabasePort):
            port.close()


def _follow(rig: Rig) -> int | None:
    """Run the statement that the source declares to follow its load, in one transaction; gives the rows it changed."""
    script = find_after_load(rig.workspace.project, rig.source, rig.book)
    if script is None:
        return None
    return apply_after_load(rig.workspace.engine("banyan_forward"), script, rig.source.department_code)


def carry_changes(
    rig: Rig, actor: Actor, *, watcher: Watcher = watch_nothing, told: Told = tell_nobody
) -> list[Carried]:
    """Carry what changed since the last time: to the canonical store, and back for closures it owns.

    Ends in a refusal that names them while there are tables whose changes nothing finds; all others are carried.
    """
    owned = _find_owned(rig)
    if len(owned) == len(rig.closures):
        return carry_back(rig, actor, watcher=watcher, told=told)
    before_each = breathe(rig, watcher)
    refuse_drift(rig, before_each=before_each, told=told)
    done: list[Carried] = []
    lane = rig.forward()
    if lane.watermark() is None:
        raise UsageError(
            f"{rig.source} has no first copy yet, or it was not finished; nothing was carried",
            hint=f"banyan load {rig.source.department_code}",
        )
    if rig.throttle().find_obstacle(now()):  # the way back does not wait for what may not be read
        done += _carry_back(rig, actor, owned, watcher)
        owned = []
    was_begun = _is_begun(rig)
    if not was_begun:  # else the run that is resumed waits by itself
        before_each()
    done += _sweep(rig, actor, watcher)
    engine = rig.forward_engine(watcher=watcher, throttle=rig.throttle())
    result = engine.advance(lane)
    done += _told(rig, actor, str(lane.route), RunKind.CHANGES, result)
    if was_begun and result is not None:
        before_each()
        done += _told(rig, actor, str(lane.route), RunKind.CHANGES, _look_again(engine, lane, result))
    if result is not None:
        prune_capture(rig)
    done += _carry_back(rig, actor, owned, watcher)
    refuse_unfollowed(rig)
    return done


def _find_owned(rig: Rig) -> list[Closure]:
    return [found for found in rig.closures if rig.slices(found.name)[0].owner is Side.CANONICAL]


def _look_again(engine: SyncEngine, lane: ForwardLane, ended: RunResult) -> RunResult | None:
    """Carry what changed since a run that had been left open; a refusal says that this one was ended before."""
    try:
        return engine.advance(lane)
    except BanyanError as error:
        told = f"run {ended.run_no}, which had been left open, was carried to its end; then: {error.message}"
        raise type(error)(told, hint=error.hint, **error.facts) from error


def carry_back(rig: Rig, actor: Actor, *, watcher: Watcher = watch_nothing, told: Told = tell_nobody) -> list[Carried]:
    """Carry back what people changed in the closures that the new side owns, all of it, and nothing forward.

    Waits for nothing: of the old system it asks the columns, and reads the rows that it writes.
    """
    refuse_drift(rig, with_codes=False, told=told)
    return _carry_back(rig, actor, _find_owned(rig), watcher)


def _carry_back(rig: Rig, actor: Actor, owned: list[Closure], watcher: Watcher) -> list[Carried]:
    """Carry back what people changed in closures that the new side owns; notes when all of it is."""
    began, done = monotonic(), list[Carried]()
    head = rig.reverse(owned[0].name).head() if owned else None
    for found in owned:
        if _is_going_back(rig, found):
            back = rig.reverse(found.name)
            reverse = SyncEngine(rig.workspace.engine("banyan_reverse"), watcher=watcher)
            done += _told(rig, actor, str(back.route), RunKind.REVERSE, reverse.advance(back, RunKind.REVERSE))
    if head is not None and all(rig.slices(found.name)[0].phase is not Phase.HALT for found in owned):
        with transaction(rig.workspace.engine("banyan_reverse")) as connection:
            note_carried_back(connection, rig.source, head, seconds_ago=monotonic() - began)
    return done


def _sweep(rig: Rig, actor: Actor, watcher: Watcher) -> list[Carried]:
    """Read again the tables whose capture was away, if any."""
    return _told(rig, actor, str(rig.forward().route), RunKind.CHANGES, sweep_gaps(rig, watcher=watcher))


def _catch_up(rig: Rig, actor: Actor, watcher: Watcher) -> Carried | None:
    """Read again what the capture missed: all rows where the project says another way, else the tables that wait.

    Gives what was read where the source is followed in another way from now on.
    """
    changed = _told(rig, actor, str(rig.forward().route), RunKind.CHANGES, change_way(rig, watcher=watcher))
    _sweep(rig, actor, watcher)
    return changed[0] if changed else None


def _is_going_back(rig: Rig, found: Closure) -> bool:
    """Tell whether the way back is walked in this phase: not once it was given up, nor while two persons decide."""
    return rig.slices(found.name)[0].phase in CARRIED_BACK


def _told(rig: Rig, actor: Actor, route: str, kind: RunKind, result: RunResult | None) -> list[Carried]:
    if result is None:
        return []
    role, operation = ("banyan_forward", "collection")
    if kind is RunKind.REVERSE:
        role, operation = ("banyan_reverse", "transfer")
    _log(rig, actor, role, (operation, f"changes along {route}", result.run_no))
    return [Carried(route, result.run_no, kind, result.totals)]


def _find_first_copy(rig: Rig) -> Carried | None:
    """Find the first copy when it is done: a second one could not see what was deleted in between."""
    lane = rig.forward(is_any_way=True)
    watermark = lane.watermark()
    if watermark is None:
        return None
    if rig.is_write_once:
        rig.port.changes(watermark)  # refuses other files than those of the first copy
    with transaction(rig.workspace.engine("banyan_forward")) as connection:
        reader = LedgerReader(connection)
        for run in reader.read_runs(rig.source):
            if run.kind is RunKind.LOAD and run.state is RunState.DONE:
                totals = reader.read_totals(run.run_no)
                return Carried(str(lane.route), run.run_no, RunKind.LOAD, totals, is_new=False)
    return None


def _refuse_moved(rig: Rig) -> None:
    for found in rig.closures:
        row = rig.slices(found.name)[0]
        if row.phase not in _OPEN_TO_LOAD or row.owner is not Side.LEGACY:
            raise StoreFenced(
                f"{found.name} is {row.phase.value} and owned by {row.owner.value}: a first copy would overwrite what "
                "people did there; nothing was read",
                hint=f"banyan switch status {found.name}",
                closure=found.name,
            )


def _advance_phases(rig: Rig, until: Phase, actor: Actor) -> None:
    """Move the slices of each closure through the phases before `until`, each step in the journal."""
    path = (*_BEFORE, Phase.SYNCING)
    for found in rig.closures:
        with transaction(rig.workspace.engine("banyan_guard")) as connection:
            row = rig.slices(found.name)[0]
            if row.phase not in path:
                continue
            steps = path[path.index(row.phase) : path.index(until) + 1]
            for here, following in pairwise(steps):
                target = Target(following, row.epoch)
                transition(connection, found.name, Expected(here, row.epoch), target, actor=actor)


def _log(rig: Rig, actor: Actor, role: str, deed: tuple[str, str, int]) -> None:
    operation, reason, run_no = deed
    entry = ProcessingEntry(
        actor=actor,
        department_code=rig.source.department_code,
        operation=operation,
        reason=reason,
        record_refs=(str(rig.source),),
        run_no=run_no,
    )
    with transaction(rig.workspace.engine(role)) as connection:
        append_processing(connection, entry)
