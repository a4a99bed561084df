"""The watchdog: keeps deadlines, finishes openings, arms a store that has started, and looks at the sealed fence.

It is a process of its own and no task of an orchestrator: what orchestrates may be what has failed. It gives up what
is late, finishes what somebody began to open, and never begins anything. Any doubt is said, and is exit code 5.
Deadlines are kept at each pass, the old side is looked at every half minute; a heartbeat in the store says it is alive.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from banyan.clock import monotonic
from banyan.clock import now as present
from banyan.departments import Actor, Closure, Phase, Side
from banyan.errors import BanyanError, LeaseLost, SourceUnavailable, SwitchUncertain
from cutover.alive import Heart
from cutover.arming import arm_or_halt, halt_restored
from cutover.control import Control, read_control
from cutover.execute import Controller, Order, give_up
from cutover.protocol import ABORT, CANCEL_ROLLBACK, OPENED
from cutover.settle import find_settleable, settle_rows
from cutover.watching import keep_open, keep_shut, look, remember_writers, renew
from sync.assembly import Rig

GUARD: Final = Actor("guard", "guard", "service")
PERIOD_SECONDS: Final = 2.0
LOOK_SECONDS: Final = 30.0
_OPENED: Final = {"ABORTING": "finished an abort", "R_OPENING": "finished the opening of the old side"}


@dataclass(frozen=True, slots=True)
class GuardReport:
    """What the guard found and did for one closure, and what it cannot decide."""

    closure: str
    phase: Phase
    owner: Side
    epoch: int
    deeds: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()

    @property
    def is_sure(self) -> bool:
        """Tell whether nothing is left for people to decide."""
        return not self.doubts


def guard_once(rig: Rig, closure: Closure, *, now: datetime, actor: Actor = GUARD) -> GuardReport:
    """Take care of one closure once and look at its old side: arm or halt, give up what is late, finish openings."""
    return _pass(rig, closure, now, actor, is_looking=True)


def keep_time(rig: Rig, closure: Closure, *, now: datetime, actor: Actor = GUARD) -> GuardReport:
    """Take care of one closure once without looking at an old side that is at rest."""
    return _pass(rig, closure, now, actor, is_looking=False)


def _pass(rig: Rig, closure: Closure, now: datetime, actor: Actor, *, is_looking: bool) -> GuardReport:
    control = _read(rig, closure)
    deeds: list[str] = []
    doubts: list[str] = []
    try:
        if not control.row.is_armed and control.phase is not Phase.HALT:
            deeds.append(arm_or_halt(rig, closure, control, actor))
        if halt_restored(rig, closure, control, actor):
            deeds.append("stopped a way back to an old side that had come back from a backup")
        deeds += _keep_deadline(rig, closure, _read(rig, closure), now, actor)
        control = _read(rig, closure)
        if is_looking:
            deeds += keep_shut(rig, closure, control)
            deeds += keep_open(rig, closure, control)
            deeds += renew(rig, closure, control, now=now, actor=actor)
            doubts += look(rig, closure, _read(rig, closure))
    except SwitchUncertain as error:
        doubts.append(error.message)
    except SourceUnavailable as error:
        if control.phase in (Phase.ABORTING, Phase.R_OPENING):
            doubts.append(f"the old side cannot be opened: {error.message}")
            doubts.append(f"by telephone: banyan switch code {closure.name}")
        else:
            doubts.append(f"the old side cannot be looked at: {error.message}")
    row = _read(rig, closure).row
    return GuardReport(closure.name, row.phase, row.owner, row.epoch, tuple(deeds), tuple(doubts))


def _read(rig: Rig, closure: Closure) -> Control:
    return read_control(rig.workspace.engine("banyan_guard"), closure.name)


def run_guard(
    watched: Iterable[tuple[Rig, Closure]],
    *,
    report: Callable[[GuardReport], None],
    is_stopped: Callable[[], bool],
    period_seconds: float = PERIOD_SECONDS,
    look_seconds: float = LOOK_SECONDS,
) -> bool:
    """Watch every closure until stopped, with a heartbeat; tells whether nothing was ever in doubt.

    One closure in trouble never keeps the others from being looked at.
    """
    closures = tuple(watched)
    heart = Heart(period_seconds)
    last: dict[str, GuardReport] = {}
    looked_at: float | None = None
    was_sure = True
    while not is_stopped():
        is_looking = looked_at is None or monotonic() - looked_at >= look_seconds
        if is_looking:
            looked_at = monotonic()
            _remember_writers({id(rig): rig for rig, _ in closures}.values())
        for rig, closure in closures:
            found = _guarded(rig, closure, is_looking=is_looking)
            before = last.get(closure.name)
            if not is_looking and before is not None and found.is_sure and not found.deeds:
                continue  # nothing new: what the last look said still stands
            last[closure.name] = found
            was_sure = was_sure and found.is_sure
            report(found)
        if closures:
            heart.beat(closures[0][0].workspace, is_sure=all(found.is_sure for found in last.values()))
        _wait(period_seconds, is_stopped)
    return was_sure


def _guarded(rig: Rig, closure: Closure, *, is_looking: bool) -> GuardReport:
    try:
        return _pass(rig, closure, present(), GUARD, is_looking=is_looking)
    except BanyanError as error:
        doubt = f"it could not be looked at: {error.message}"
        return GuardReport(closure.name, Phase.HALT, Side.LEGACY, 0, (), (doubt,))


def _remember_writers(rigs: Iterable[Rig]) -> None:
    for rig in rigs:
        try:
            remember_writers(rig)
        except BanyanError:  # the store or the old side does not answer: the pass over its closures says so
            continue


def _wait(seconds: float, is_stopped: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while not is_stopped() and time.monotonic() < until:
        time.sleep(min(0.1, seconds))


def _keep_deadline(rig: Rig, closure: Closure, control: Control, now: datetime, actor: Actor) -> Iterator[str]:
    """Give up what is late and finish openings; a healthy controller within its time is left alone."""
    deadline, phase = control.row.deadline, control.numbers.phase
    is_late = deadline is None or now > deadline
    if not control.row.is_armed:
        return
    if phase in ABORT.sources | CANCEL_ROLLBACK.sources and is_late:
        give_up(rig, control, actor, reason="its time was over; the guard gave it up")
        yield f"gave up {control.phase.value}: its time was over"
        control = _read(rig, closure)
    if control.numbers.phase in OPENED.sources and (is_late or phase in ABORT.sources):
        _drive(rig, closure, actor)
        yield _OPENED[control.phase.name]
        control = _read(rig, closure)
    if control.phase in (Phase.SYNCING, Phase.READY) and find_settleable(rig, closure):
        try:
            yield f"read {settle_rows(rig, closure, actor=actor)} listed rows again"
        except LeaseLost:  # a run of the forward way is at work: the next look finds it ended
            return


def _drive(rig: Rig, closure: Closure, actor: Actor) -> None:
    controller = Controller(rig, closure, Order(actor))
    try:
        controller.drive()
    finally:
        controller.disconnect()
