"""What follows a decision: the rows it lets through are carried again, and so are they when it is undone."""

from banyan.departments import Actor
from banyan.errors import UsageError
from mappings.model import FieldRule, RuleBook
from mappings.seal import used_code_maps
from store.decisions import Decision, DecisionKind, find_decided_keys, read_decision, undo_decision
from store.journal import ProcessingEntry, append_processing
from store.postgres import transaction
from sync.assembly import Rig
from sync.decided import value_of
from sync.engine import Watcher, watch_nothing
from sync.lane import Checkpoint, pass_by
from sync.movement import Carried
from sync.repair import fields_reading
from sync.replay import carry_again, open_received, refuse_moved


def replay_decided(
    rig: Rig, actor: Actor, *, watcher: Watcher = watch_nothing, checkpoint: Checkpoint = pass_by
) -> Carried | None:
    """Carry the rows again whose entries a decision covers: mapped, loaded, and taken off the list; None when none."""
    names = {number: name for name, number in rig.table_numbers.items()}
    with transaction(rig.workspace.engine("banyan_steward")) as connection:
        waiting = find_decided_keys(connection, list(names))
    by_table = {names[number]: keys for number, keys in waiting.items()}
    refuse_moved(rig, list(by_table))
    lane = rig.forward()
    told = ("replay of decided entries", f"decided {rig.book.digest}")
    return carry_again(rig, actor, (lane, lane.plan_keys(by_table)), told=told, watcher=watcher, checkpoint=checkpoint)


def undo(rig: Rig, name: str, actor: Actor, *, reason: str) -> Decision:
    """Undo a decision: from now on its texts are refused as before. Logged; the rows it let through come next."""
    if not reason.strip():
        raise UsageError("an undoing needs its reason; nothing was changed", hint="--reason TEXT")
    decision = find_decision(rig, name)
    refuse_moved(rig, sorted(_columns(rig.book, decision)))
    with transaction(rig.workspace.engine("banyan_steward")) as connection:
        stood = undo_decision(connection, decision, actor=actor, reason=reason.strip())
        if stood:
            entry = ProcessingEntry(
                actor=actor,
                department_code=rig.source.department_code,
                operation="alteration",
                reason=f"{decision.name} undone: {reason.strip()}",
                record_refs=(str(rig.source),),
            )
            append_processing(connection, entry)
    return decision


def carry_undone(
    rig: Rig, decision: Decision, actor: Actor, *, watcher: Watcher = watch_nothing, checkpoint: Checkpoint = pass_by
) -> Carried | None:
    """Carry every row again that holds what a decision was about; the rig must have been opened after the undoing."""
    names = {number: name for name, number in rig.table_numbers.items()}
    with transaction(rig.workspace.engine("banyan_steward")) as connection:
        listed = find_decided_keys(connection, list(names), number=decision.number)
    by_table = {names[number]: set(keys) for number, keys in listed.items()}
    received = open_received(rig)
    for table, columns in _columns(rig.book, decision).items():
        for column in columns:
            if table in received.tables():
                by_table.setdefault(table, set()).update(received.find_keys(table, column, [_text(rig, decision)]))
    lane = rig.forward()
    plans = lane.plan_keys({table: sorted(keys) for table, keys in by_table.items()})
    told = (f"rows of {decision.name}, which was undone", f"undone {decision.name}")
    return carry_again(rig, actor, (lane, plans), told=told, watcher=watcher, checkpoint=checkpoint)


def find_decision(rig: Rig, name: str) -> Decision:
    """Find the decision that people call `D-4`."""
    number = name.upper().removeprefix("D-")
    if not number.isdigit():
        raise UsageError(
            f"{name} is no decision; nothing was changed",
            hint=f"banyan quarantine top {rig.source.department_code}",
        )
    with transaction(rig.workspace.engine("banyan_steward")) as connection:
        return read_decision(connection, rig.source, int(number))


def _text(rig: Rig, decision: Decision) -> str:
    if decision.what.kind is DecisionKind.CODE:
        return decision.what.code or ""
    return value_of(rig.workspace.landing.keys, rig.source, decision.what).how.raw


def _columns(book: RuleBook, decision: Decision) -> dict[str, list[str]]:
    """Name the source columns in which what was decided may stand, by table."""
    what = decision.what
    if what.kind is DecisionKind.VALUE:
        return {what.table or "": [what.column or ""]}
    found: dict[str, list[str]] = {}
    for table, ruleset in book.rulesets.items():
        if what.code_map not in used_code_maps(ruleset):
            continue
        columns = [
            column
            for column in ruleset.columns
            if column not in ruleset.drop
            and any(_goes_through(rule, what.code_map) for rule in fields_reading(ruleset, column))
        ]
        found[table] = columns
    return found


def _goes_through(rule: FieldRule, code_map: str | None) -> bool:
    lens = rule.lens
    return rule.code_map == code_map or (lens is not None and lens.name == "code" and code_map in lens.args)
