"""What a person orders: switch, rollback, abort. Given again after a death, each takes up from the row."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from time import sleep
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from banyan.clock import monotonic, now
from banyan.departments import Actor, Closure, Phase, Side
from banyan.errors import LeaseLost, SwitchRefused, SwitchUncertain
from cutover import protocol
from cutover.control import Control, Writing, move, read_control
from cutover.execute import Controller, Order, StepReport, give_up
from cutover.journal import Facts, Word, note
from cutover.plan import Plan, StepName, plan_switch
from cutover.preconditions.condition import Obstacle
from cutover.protocol import ABORT, CANCEL_ROLLBACK, ROLL_BACK, ControlRow, Refusal
from cutover.reading import RigReader
from cutover.settle import settle_rows
from cutover.steps import probe_new_side
from store.postgres import transaction
from store.runs import RunKind
from store.slices import SliceRow, read_closure
from sync.assembly import Rig
from sync.engine import RunResult

_SOON_SECONDS: Final = 0.25
"""A round that takes no longer leaves little for the time when nobody can write."""
_MOST_SECONDS: Final = 20.0
_GAIN: Final = 0.8
"""A round that takes more than this share of the one before says that people are as fast as we are."""
_DYING_SECONDS: Final = 2.0
"""How long the server may take to end the session of a controller that was killed, and to give its lock back."""
_PAUSE_SECONDS: Final = 0.05
_AT_REST: Final = (Phase.SYNCING, Phase.READY, Phase.LIVE)
_LOCK: Final = sa.text("select pg_try_advisory_lock(hashtextextended('banyan.switch.' || :closure, 0))")


@dataclass(frozen=True, slots=True)
class SwitchReport:
    """A change of owner that is done, or was done before."""

    closure: str
    to: Side
    owner: Side
    epoch: int
    steps: tuple[StepReport, ...]
    outage_ms: int
    expected_ms: int | None
    link_us: int | None
    plan_digest: str | None
    was_done_before: bool


def change_owner(rig: Rig, name: str, to: Side, *, actor: Actor) -> SwitchReport:
    """Move a closure, named in full or by one of its domains, to a side."""
    closure, order = rig.closure(name), Order(actor)
    return switch(rig, closure, order) if to is Side.CANONICAL else roll_back(rig, closure, order)


def switch(rig: Rig, closure: Closure, order: Order) -> SwitchReport:
    """Move a closure to CANONICAL, or take up a move that was begun; refuses, aborts and reopens, or says UNCERTAIN."""
    with _at_work(rig, closure, order) as controller:
        control = controller.read()
        plan: Plan | None = None
        if control.row.owner is Side.CANONICAL:
            return _report(controller, control, Side.CANONICAL, plan, was_done_before=True)
        if control.phase in (Phase.SYNCING, Phase.READY):
            plan = _start(controller, order)
        elif control.phase not in (*_moving(Side.CANONICAL), Phase.ABORTING):
            raise _refusal(plan_switch(closure, Side.CANONICAL, RigReader(rig, closure)))
        control = controller.drive()
        if control.phase is not Phase.LIVE:
            raise _not_done(controller, control, "switched", "The old system is open again")
        _open_new_side(controller)
        return _finish(controller, control, Side.CANONICAL, plan)


def roll_back(rig: Rig, closure: Closure, order: Order) -> SwitchReport:
    """Move a closure back to LEGACY, or take up a move back that was begun."""
    with _at_work(rig, closure, order) as controller:
        control = controller.read()
        plan: Plan | None = None
        if control.phase in (Phase.SYNCING, Phase.READY):
            settle_rows(rig, closure, actor=order.actor)
            return _report(controller, control, Side.LEGACY, plan, was_done_before=True)
        if control.phase is Phase.LIVE:
            plan = _start_back(controller, order)
        elif control.phase not in (*_moving(Side.LEGACY), Phase.R_OPENING):
            raise _refusal(plan_switch(closure, Side.LEGACY, RigReader(rig, closure)))
        control = controller.drive()
        if control.phase is not Phase.SYNCING:
            raise _not_done(controller, control, "rolled back", "The new system is open again")
        began = monotonic()
        controller.order.checkpoint("before SETTLE")
        settled = settle_rows(rig, closure, actor=order.actor)
        controller.order.checkpoint("after SETTLE")
        remark = f"{settled} rows read again" if settled else "nothing was listed"
        controller.report(StepName.SETTLE, round((monotonic() - began) * 1000), remark)
        return _finish(controller, control, Side.LEGACY, plan)


def abort(rig: Rig, closure: Closure, order: Order) -> Control:
    """Give up a switch before its flip, or a rollback before its flip back, and open the side that owns."""
    controller = Controller(rig, closure, order)
    try:
        control = controller.read()
        if control.numbers.phase in ABORT.sources | CANCEL_ROLLBACK.sources:
            give_up(rig, control, order.actor, reason="a person gave it up")
        elif control.phase is not Phase.ABORTING:
            raise SwitchRefused(
                f"there is nothing to abort: {closure.name} is {control.phase.value}, owner {control.row.owner.value}. "
                "Nothing was touched",
                hint=f"banyan switch {'rollback' if control.phase is Phase.LIVE else 'status'} {closure.name}",
            )
        return controller.drive()
    finally:
        controller.disconnect()


@contextmanager
def _at_work(rig: Rig, closure: Closure, order: Order) -> Iterator[Controller]:
    """Hold the closure's lock: healthy controllers do not get in each other's way.

    Safety does not hang on it: a frozen controller keeps its lock, and past the deadline others go on without.
    """
    with rig.workspace.engine("banyan_guard").connect() as connection:
        connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        row, until = _find_other(rig, connection, closure), monotonic() + _DYING_SECONDS
        while row is not None and monotonic() < until:
            sleep(_PAUSE_SECONDS)
            row = _find_other(rig, connection, closure)
        if row is not None:
            raise SwitchRefused(
                f"another controller is moving {closure.name} ({row.phase.value}); this one touched nothing",
                hint=f"banyan switch status {closure.name}",
            )
        controller = Controller(rig, closure, order)
        try:
            yield controller
        finally:
            controller.disconnect()
            connection.invalidate()  # gives the lock back with the connection


def _find_other(rig: Rig, connection: Connection, closure: Closure) -> SliceRow | None:
    """Take the closure's lock; gives the row of one that another controller holds and is moving in time."""
    is_alone = connection.scalar(_LOCK, {"closure": closure.name})
    row = read_control(rig.workspace.engine("banyan_guard"), closure.name).row
    is_in_time = row.deadline is not None and now() <= row.deadline
    return row if not is_alone and row.phase not in _AT_REST and is_in_time else None


def _start(controller: Controller, order: Order) -> Plan:
    """Carry what waits while people still work, ask every precondition, then close the door behind the plan."""
    rig, closure = controller.rig, controller.closure
    settle_rows(rig, closure, actor=order.actor)
    _carry_ahead(rig)
    budget = order.limits.budget_seconds
    plan = plan_switch(closure, Side.CANONICAL, RigReader(rig, closure), budget_seconds=budget)
    if not plan.is_possible:
        raise _refusal(plan)
    controller.warm()
    if controller.read().phase is Phase.SYNCING:
        ready = Writing(evidence_id=plan.evidence_id)
        _moved(controller, lambda row: protocol.change(row, protocol.READY, epoch=plan.epoch), ready)
    evidence = RigReader(rig, closure).evidence()
    if evidence is not None:
        controller.compare_ahead(evidence.legacy_position)
    _carry_ahead(rig)
    if controller.compare_again():  # what people changed while the evidence was brought up to date
        _carry_once(rig)
    seen = controller.read_fence()
    controller.order.checkpoint("before START")
    writing = Writing(
        deadline=now() + timedelta(seconds=budget), evidence_id=plan.evidence_id, words=lambda _: _started(plan)
    )
    _moved(controller, lambda row: protocol.start(row, plan.epoch, nonce=seen.nonce.int), writing)
    controller.order.checkpoint("after START")
    return plan


def _start_back(controller: Controller, order: Order) -> Plan:
    """Carry back what waits while people still work, ask every precondition, then close the new side."""
    rig, closure = controller.rig, controller.closure
    _carry_back_ahead(rig, closure)
    plan = plan_switch(closure, Side.LEGACY, RigReader(rig, closure), budget_seconds=order.limits.rollback_seconds)
    if not plan.is_possible:
        raise _refusal(plan)
    controller.read_fence()  # it answers, and its connection is open when nobody can write
    controller.order.checkpoint("before ROLL_BACK")
    began = monotonic()
    deadline = now() + timedelta(seconds=plan.budget_seconds)
    writing = Writing(
        deadline=deadline, words=lambda _: _started(plan) | {Word.CLOSED: {"closed_at": now().isoformat()}}
    )
    _moved(controller, lambda row: protocol.change(row, ROLL_BACK, epoch=plan.epoch), writing)
    controller.order.checkpoint("after ROLL_BACK")
    controller.report(StepName.CLOSE, round((monotonic() - began) * 1000), "writers in flight have ended")
    return plan


def _started(plan: Plan) -> dict[Word, Facts]:
    return {Word.STARTED: {"to": plan.to.value, "plan": plan.digest, "evidence_id": plan.evidence_id}}


def _moved(controller: Controller, decide: Callable[[ControlRow], ControlRow | Refusal], writing: Writing) -> None:
    """Move the row by a person's order, or say who was faster."""
    engine = controller.rig.workspace.engine("banyan_guard")
    found = move(engine, controller.closure.name, decide, actor=controller.actor, writing=writing)
    if isinstance(found, Refusal):
        raise SwitchRefused(
            f"{controller.closure.name} was changed while this was prepared ({found.name.lower().replace('_', ' ')}); "
            "this command touched nothing",
            hint=f"banyan switch status {controller.closure.name}",
        )


def _carry_ahead(rig: Rig) -> None:
    """Carry what waits before anything is closed, so that the drain is short in time, however few the rows are."""
    lane, engine = rig.forward(), rig.forward_engine()
    _repeat(lambda: engine.advance(lane))


def _carry_back_ahead(rig: Rig, closure: Closure) -> None:
    lane, engine = rig.reverse(closure.name), rig.reverse_engine()
    _repeat(lambda: engine.advance(lane, RunKind.REVERSE))


def _repeat(advance: Callable[[], RunResult | None]) -> None:
    """Carry again while it pays: until a round is short, or no shorter than the one before."""
    began = monotonic()
    before = _MOST_SECONDS
    while True:
        round_began = monotonic()
        try:
            carried = advance()
        except LeaseLost:  # another process is carrying it
            return
        took = monotonic() - round_began
        is_as_good_as_it_gets = took < _SOON_SECONDS or took > before * _GAIN or monotonic() - began > _MOST_SECONDS
        if carried is None or is_as_good_as_it_gets:
            return
        before = took


def _carry_once(rig: Rig) -> None:
    with suppress(LeaseLost):  # another process is carrying it
        rig.forward_engine().advance(rig.forward())


def _open_new_side(controller: Controller) -> None:
    began = monotonic()
    if not probe_new_side(controller.rig, controller.closure):
        raise SwitchUncertain(
            f"{controller.closure.name} belongs to the new system, but a write of an application is refused there",
            hint=f"call the duty engineer, then: banyan switch status {controller.closure.name}",
        )
    controller.report(StepName.OPEN, round((monotonic() - began) * 1000), "a write is accepted")


def _finish(controller: Controller, control: Control, to: Side, plan: Plan | None) -> SwitchReport:
    """Leave the measured figures in the journal, for the next plan and for the report."""
    if controller.outage_ms is not None:
        facts: dict[str, str | int | bool | None] = {
            f"{report.name.value}_ms": report.milliseconds for report in controller.reports
        }
        facts |= {"to": to.value, "outage_ms": controller.outage_ms, "link_us": plan.link_us if plan else None}
        with transaction(controller.rig.workspace.engine("banyan_guard")) as connection:
            row = read_closure(connection, controller.closure.name)[0]
            note(connection, Word.SWITCHED, row, actor=controller.actor, facts=facts)
    return _report(controller, control, to, plan, was_done_before=False)


def _report(
    controller: Controller, control: Control, to: Side, plan: Plan | None, *, was_done_before: bool
) -> SwitchReport:
    return SwitchReport(
        closure=controller.closure.name,
        to=to,
        owner=control.row.owner,
        epoch=control.row.epoch,
        steps=tuple(controller.reports),
        outage_ms=controller.outage_ms or 0,
        expected_ms=plan.expected_outage_ms if plan else None,
        link_us=plan.link_us if plan else None,
        plan_digest=plan.digest if plan else None,
        was_done_before=was_done_before,
    )


def _moving(to: Side) -> tuple[Phase, ...]:
    transition = ABORT if to is Side.CANONICAL else CANCEL_ROLLBACK
    return tuple(protocol.phase_of(number) for number in transition.sources)


def _refusal(plan: Plan) -> SwitchRefused:
    obstacles = plan.obstacles or (Obstacle("phase", "it cannot be moved now", f"banyan switch status {plan.closure}"),)
    verb = "switched" if plan.to is Side.CANONICAL else "rolled back"
    return SwitchRefused(
        f"{plan.closure} was not {verb}: {len(obstacles)} thing{'s' * (len(obstacles) > 1)} in the way. "
        "Nothing was touched",
        hint=obstacles[0].next_command,
        reasons=[f"{obstacle.name:<10} {obstacle.sentence}" for obstacle in obstacles],
        closure=plan.closure,
    )


def _not_done(controller: Controller, control: Control, verb: str, ending: str) -> SwitchRefused:
    failure, row = controller.failure, control.row
    reason = failure.message if failure else controller.read_reason()
    if control.phase is Phase.HALT or not row.is_armed:
        ending = "Nobody can write until the guard has compared both sides"
    return SwitchRefused(
        f"{row.closure} was not {verb}: {reason}. {ending}, owner {row.owner.value}, epoch {row.epoch}",
        hint=f"banyan switch status {row.closure}",
        reasons=list(failure.facts.get("reasons", ())) if failure else [],  # type: ignore[call-overload]
        closure=row.closure,
    )
