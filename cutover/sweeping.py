"""A sweep: every row of some tables is read again, beside their people, because what was written down does not tell.

Asked for by an engineer, while the old side owns. Where the history of the source is known, the Position stays. Where
only what was written down is gone (a purged log, a lost slot, a pruned journal), capture is repaired, every table is
read again, and the source is followed from before that reading. A source with another history, put back from a backup,
is refused: two persons say which copy stands. One that is only read, such as a file of which a new copy was delivered,
is read whole like one whose log was lost: in the new side nobody ever wrote.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from banyan.departments import Actor, Phase, Side
from banyan.errors import ConfigurationError, SourceDrifted, SourceRestored, StoreFenced, UsageError
from connectors.database import DatabasePort
from store.gaps import close_gaps, find_gaps
from store.journal import ProcessingEntry, append_processing
from store.known_keys import read_known_keys
from store.ledger import LedgerReader
from store.postgres import transaction
from store.runs import RunKind
from sync.assembly import Rig
from sync.captures import find_unfollowed
from sync.drift import refuse_drift
from sync.engine import Watcher, watch_nothing
from sync.movement import Carried
from sync.pruning import prune_capture
from sync.sweeping import carry_all, find_all_keys, follow_from, take_start
from sync.waiting import breathe

_AT_REST = (Phase.SYNCING, Phase.READY)


class History(StrEnum):
    """What is known of a source since its Position."""

    KNOWN = "known"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a sweep reads again, and why it must be all of it."""

    source: str
    history: History
    why: str
    """Why the history is lost; empty while it is known."""
    known: dict[str, int]
    """The tables that are read again, each with the number of rows the store knows of it; gone ones are found so."""
    left_out: tuple[str, ...]
    """The closures that the new side owns: nobody writes their rows on the old side."""


def plan_sweep(rig: Rig, table: str | None = None) -> Sweep:
    """Say what a sweep of a source, or of one of its tables, reads again; refuses where two persons must decide."""
    history, why = _find_history(rig)
    return _plan(rig, table, history, why)


def carry_sweep(
    rig: Rig,
    actor: Actor,
    *,
    table: str | None = None,
    reason: str = "",
    repair: Callable[[], Rig],
    watcher: Watcher = watch_nothing,
) -> Carried | None:
    """Read again what the plan says; None when no row stands there and none is known.

    Whoever dies on the way changed no Position: the next sweep reads everything again. `repair` installs the capture
    and gives the source with it.
    """
    plan = plan_sweep(rig, table)
    refuse_drift(rig, before_each=breathe(rig, watcher))
    if plan.history is History.LOST and not reason:
        raise UsageError(
            f"{rig.source} cannot be followed from where it was left: {plan.why}. Nothing was read",
            hint=f'banyan sync sweep {rig.source} --reason "why, and that no backup was restored there"',
        )
    if plan.history is History.LOST or _unfollowed(rig, plan):
        rig.close()  # whoever reads a log lets go of it
        rig = repair()
        history, why = _again(rig)
        plan = _plan(rig, table, history, why)
    lane = rig.forward()
    engine = rig.forward_engine(watcher=watcher, throttle=rig.throttle())
    with transaction(rig.workspace.engine("banyan_forward")) as connection:
        is_open = LedgerReader(connection).find_open_run(rig.source, Side.CANONICAL) is not None
        gaps = {name: at for name, at in find_gaps(connection, rig.source).items() if name in plan.known}
    if is_open:
        engine.advance(lane)
    before_each = breathe(rig, watcher)
    before_each()
    start = take_start(rig)
    done = carry_all(rig, engine, find_all_keys(rig, plan.known, before_each=before_each), before_each=before_each)
    with transaction(rig.workspace.engine("banyan_forward")) as connection:
        close_gaps(connection, rig.source, gaps)
    if plan.history is History.LOST:
        follow_from(rig, start)
        prune_capture(rig)
    if done is None:
        return None
    _log(rig, actor, f"sweep: {reason or 'asked for'}", done.run_no)
    return Carried(str(lane.route), done.run_no, RunKind.CHANGES, done.totals)


def _find_history(rig: Rig) -> tuple[History, str]:
    since = rig.forward().watermark()
    if rig.is_write_once:
        raise UsageError(
            f"{rig.source} is a set of files that are written once: nothing changes there; nothing was read",
            hint=f"banyan recon run {rig.closures[0].name}",
        )
    if since is None:
        raise UsageError(
            f"{rig.source} has no first copy yet, or it was not finished; nothing was read",
            hint=f"banyan load {rig.source.department_code}",
        )
    try:
        rig.port.changes(since)
    except SourceRestored as error:
        return _decided_by_one(rig, error)
    except (SourceDrifted, ConfigurationError) as error:  # not installed any more is as good as lost
        return History.LOST, error.message
    return History.KNOWN, ""


def _again(rig: Rig) -> tuple[History, str]:
    """Ask once more after the repair: what is still not installed is refused."""
    since = rig.forward().watermark()
    try:
        if since is not None:
            rig.port.changes(since)
    except SourceRestored as error:
        return _decided_by_one(rig, error)
    except SourceDrifted as error:
        return History.LOST, error.message
    return History.KNOWN, ""


def _decided_by_one(rig: Rig, error: SourceRestored) -> tuple[History, str]:
    """Take another incarnation of a source that is only read as a lost history: nobody ever wrote in the new side.

    Anywhere else two copies may differ, and two persons say which one stands.
    """
    if not rig.is_one_way:
        raise error
    return History.LOST, error.message


def _plan(rig: Rig, table: str | None, history: History, why: str) -> Sweep:
    followed, elsewhere = [], []
    for found in rig.closures:
        row = rig.slices(found.name)[0]
        if row.owner is Side.CANONICAL:
            elsewhere.append(found)
        elif row.phase in _AT_REST:
            followed.append(found)
        else:
            raise StoreFenced(
                f"{found.name} is {row.phase.value}: nothing of {rig.source} is read again meanwhile; nothing was read",
                hint=f"banyan switch status {found.name}",
            )
    if history is History.LOST:
        if elsewhere:
            raise SourceRestored(
                f"{why}; {elsewhere[0].name} belongs to the new side, which must know its old side first",
                hint=f"banyan switch reconcile {elsewhere[0].name} --keep canonical, by two persons",
            )
        _refuse_another_fence(rig, why)
    tables = [name for found in followed for name in found.tables]
    if table is not None and table not in tables:
        raise UsageError(
            f"{rig.source} has no table {table} that is followed; nothing was read",
            hint=f"banyan source capabilities {rig.source}",
        )
    _refuse_another_key(rig, tables if table is None else [table])
    if table is not None and history is History.LOST:
        raise UsageError(
            f"{why}. What changed in the other tables is not known either; nothing was read again",
            hint=f"banyan sync sweep {rig.source} --reason TEXT",
        )
    wanted = tables if table is None else [table]
    with transaction(rig.workspace.engine("banyan_forward")) as connection:
        known = {name: len(read_known_keys(connection, rig.source, name)) for name in wanted}
    return Sweep(str(rig.source), history, why, known, tuple(found.name for found in elsewhere))


def _refuse_another_key(rig: Rig, tables: list[str]) -> None:
    """Refuse a table whose rows stand under another key than the one we know them by."""
    for name in tables:
        ruleset, key = rig.book.rulesets[name], rig.port.key_columns(name)
        if key != ruleset.key:
            raise SourceDrifted(
                f"{name} has the key {', '.join(key) or 'none'} now, and {ruleset.rule_id} knows its rows by "
                f"{', '.join(ruleset.key)}; nothing was read again",
                hint="give the rule the key of the table: banyan map lint",
                table=name,
            )


def _unfollowed(rig: Rig, plan: Sweep) -> list[str]:
    return find_unfollowed(rig.port, rig.workspace.source_config(rig.source), tuple(plan.known))


def _refuse_another_fence(rig: Rig, why: str) -> None:
    """Refuse a database whose fence is not the one we know: it was put back from a backup."""
    if rig.is_one_way or not isinstance(rig.port, DatabasePort):
        return
    for found in rig.closures:
        fence = rig.fence(found.name)
        try:
            nonce = fence.read().nonce
        finally:
            fence.disconnect()
        if nonce != rig.slices(found.name)[0].nonce:
            raise SourceRestored(
                f"{why}; and the fence of {found.name} is not the one banyan knows, as in a restored backup. Nothing "
                "was read again",
                hint=f"banyan switch status {found.name}; then banyan switch reconcile {found.name}, by two persons",
            )


def _log(rig: Rig, actor: Actor, reason: str, run_no: int) -> None:
    entry = ProcessingEntry(
        actor=actor,
        department_code=rig.source.department_code,
        operation="collection",
        reason=reason,
        record_refs=(str(rig.source),),
        run_no=run_no,
    )
    with transaction(rig.workspace.engine("banyan_forward")) as connection:
        append_processing(connection, entry)
