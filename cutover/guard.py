"""The watchdog: keeps deadlines, finishes openings, arms a store that has started, and looks at the sealed fence.

It is a process of its own and no task of an orchestrator: what orchestrates may be what has failed. It gives up what
is late, finishes what somebody began to open, and never begins anything. Any doubt is said, and is exit code 5.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from banyan.clock import now as present
from banyan.departments import Actor, Closure, Phase, Side
from banyan.errors import BanyanError, LeaseLost, SourceUnavailable, SwitchUncertain
from banyan.ports import FenceMode, FenceState
from cutover import protocol
from cutover.control import Control, Writing, committed, held, move, next_nonce, read_control
from cutover.execute import Controller, Order, give_up
from cutover.journal import Word, read_account
from cutover.protocol import ABORT, CANCEL_ROLLBACK, OPENED, Comparison, Refusal
from cutover.settle import find_settleable, settle_rows
from store.journal import verify_journal
from store.postgres import transaction
from store.slices import arm
from sync.assembly import Rig

GUARD: Final = Actor("guard", "guard", "service")
PERIOD_SECONDS: Final = 2.0
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
    """Look at one closure once: arm or halt, give up what is late, finish what is half open, look at the seal."""
    control = read_control(rig.workspace.engine("banyan_guard"), closure.name)
    deeds: list[str] = []
    doubts: list[str] = []
    try:
        if not control.row.is_armed and control.phase is not Phase.HALT:
            deeds.append(_arm_or_halt(rig, closure, control, actor))
            control = read_control(rig.workspace.engine("banyan_guard"), closure.name)
        deeds += _keep_deadline(rig, closure, control, now, actor)
        control = read_control(rig.workspace.engine("banyan_guard"), closure.name)
        doubts += _look(rig, closure, control)
    except SwitchUncertain as error:
        doubts.append(error.message)
    except SourceUnavailable as error:
        if control.phase in (Phase.ABORTING, Phase.R_OPENING):
            doubts.append(f"the old side cannot be opened: {error.message}")
        else:
            doubts.append(f"the old side cannot be looked at: {error.message}")
    control = read_control(rig.workspace.engine("banyan_guard"), closure.name)
    row = control.row
    return GuardReport(closure.name, row.phase, row.owner, row.epoch, tuple(deeds), tuple(doubts))


def run_guard(
    watched: Iterable[tuple[Rig, Closure]],
    *,
    report: Callable[[GuardReport], None],
    is_stopped: Callable[[], bool],
    period_seconds: float = PERIOD_SECONDS,
) -> bool:
    """Look at every closure again and again until stopped; tells whether nothing was ever in doubt.

    One closure in trouble never keeps the others from being looked at.
    """
    closures = tuple(watched)
    is_sure = True
    while not is_stopped():
        for rig, closure in closures:
            try:
                found = guard_once(rig, closure, now=present())
            except BanyanError as error:
                doubt = f"it could not be looked at: {error.message}"
                found = GuardReport(closure.name, Phase.HALT, Side.LEGACY, 0, (), (doubt,))
            is_sure = is_sure and found.is_sure
            report(found)
        _wait(period_seconds, is_stopped)
    return is_sure


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
        control = read_control(rig.workspace.engine("banyan_guard"), closure.name)
    if control.numbers.phase in OPENED.sources and (is_late or phase in ABORT.sources):
        _drive(rig, closure, actor)
        yield _OPENED[control.phase.name]
        control = read_control(rig.workspace.engine("banyan_guard"), closure.name)
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


def _arm_or_halt(rig: Rig, closure: Closure, control: Control, actor: Actor) -> str:
    """Compare a store that has started with the journal and the old side; arm it, or stop it until people decide."""
    engine = rig.workspace.engine("banyan_guard")
    fence = _read_fence(rig, closure)
    with transaction(engine) as connection:
        witness = read_account(connection, closure.name).highest_epoch
        is_whole = verify_journal(connection).is_whole
    seen = Comparison(
        witness_epoch=witness,
        outbox_ahead=int(not is_whole),
        legacy_reached=int(fence is not None),
        legacy_token=fence.token if fence else 0,
        reverse_ahead=int(fence is not None and not _is_way_back_known(rig, closure)),
        legacy_nonce=_recognised(control, fence) if fence else 0,
    )
    found = protocol.arm(control.numbers, seen)
    if isinstance(found, Refusal):
        floor = max(seen.witness_epoch, seen.legacy_token)
        reason = found.name.lower().replace("_", " ")
        move(
            engine,
            closure.name,
            lambda row: protocol.halt(row, floor=floor),
            actor=actor,
            writing=Writing(deadline=None, words=lambda _: {Word.GUARD: {"halted": reason}}),
        )
        raise SwitchUncertain(
            f"{closure.name} is stopped: the store has started and does not fit the old side ({reason}). "
            "Nobody can write in the new system until two people have decided",
            hint=f"banyan switch status {closure.name}",
        )
    with (
        committed(f"the arming of {closure.name}"),
        transaction(engine) as connection,
        held(connection, closure.name) as same,
    ):
        if same.numbers != control.numbers:
            raise LeaseLost(f"{closure.name} moved while it was compared; it was not armed", hint="banyan guard")
        arm(connection, closure.name, actor=actor)
    return "armed the store after its start: it fits the journal and the old side"


def _read_fence(rig: Rig, closure: Closure) -> FenceState | None:
    fence = rig.fence(closure.name)
    try:
        return fence.read()
    except SourceUnavailable:
        return None
    finally:
        fence.disconnect()


def _recognised(control: Control, fence: FenceState) -> int:
    """Give the nonce as the row knows it when the fence has the one that a move under way leaves there."""
    turning = control.numbers.phase in ABORT.sources | OPENED.sources
    return control.row.nonce.int if turning and fence.nonce == next_nonce(control.row.nonce) else fence.nonce.int


def _is_way_back_known(rig: Rig, closure: Closure) -> bool:
    """Tell whether the place the way back has reached belongs to this store's history."""
    try:
        rig.reverse(closure.name).queue()
    except SwitchUncertain:
        return False
    return True


def _look(rig: Rig, closure: Closure, control: Control) -> Iterator[str]:
    """Look at the old side: in LIVE sealed with our token and nonce on every table, at rest open and known."""
    row = control.row
    if control.phase is Phase.HALT:
        yield f"{closure.name} is stopped until two people have decided"
        return
    if control.phase not in (Phase.SYNCING, Phase.READY, Phase.LIVE):
        return
    fence = rig.fence(closure.name)
    try:
        state = fence.read()
        if state.nonce != row.nonce:
            yield "the old side is not the one banyan knows: restored from a backup, or worked by another hand"
            return
        if state.token > row.epoch:
            yield f"the old side holds token {state.token}, later than epoch {row.epoch}"
        for defect in fence.check_installed(closure.tables):
            yield f"the fence of the old side is not sound: {defect.table} {defect.problem}".replace("  ", " ")
        if control.phase is not Phase.LIVE:
            return
        if state.mode is not FenceMode.SEALED:
            yield f"the old side is {state.mode.value} while the new system owns: both could write"
        for table in closure.tables:
            if not fence.probe(table):
                yield f"the old side lets people write in {table} while the new system owns"
    finally:
        fence.disconnect()
