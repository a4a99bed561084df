"""Where a closure stands, asked of the world anew: who can write, since when, until when, and what to do next."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from banyan.clock import now
from banyan.departments import Closure, Phase, Side
from banyan.errors import SourceUnavailable
from banyan.ports import FenceState
from cutover.alive import read_sign_of_life
from cutover.control import Control, next_nonce, read_control
from cutover.gauge import WayBackGauge, find_alarm, read_way_back, say_gauge, say_rehearsal
from cutover.journal import PastSwitch
from cutover.reading import RigReader
from sync.assembly import Rig

_NOT_WATCHED: Final = (
    *(Phase.REGISTERED, Phase.ASSESSED, Phase.MAPPED, Phase.LOADING, Phase.SYNCING, Phase.READY, Phase.RETIRED),
)


class Writer(StrEnum):
    """Who can write, in the words of the screen."""

    OLD = "old side OPEN"
    NEW = "new side OPEN"
    NOBODY = "NOBODY"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class SwitchStatus:
    """What is known of a closure now; a doubt is for people."""

    closure: str
    phase: Phase
    owner: Side
    epoch: int
    writer: Writer
    fence: str
    deadline: datetime | None
    seconds_left: float | None
    reason: str
    past: PastSwitch | None
    way_back: str
    rehearsed: str
    guard: str
    alarms: tuple[str, ...]
    doubts: tuple[str, ...]
    next_command: str
    gauge: WayBackGauge


def read_status(rig: Rig, closure: Closure) -> SwitchStatus:
    """Read the slices and the fence of the old side again; changes nothing."""
    reader = RigReader(rig, closure)
    fence = _read_fence(rig, closure)
    control = read_control(rig.workspace.engine("banyan_guard"), closure.name)
    account = reader.account()
    row = control.row
    doubts = tuple(_doubts(control, fence))
    gauge = read_way_back(rig, closure)
    sign = read_sign_of_life(rig.workspace.engine("banyan_guard"))
    alarms = [find_alarm(gauge)]
    has_died = not sign.is_alive and sign.age_seconds is not None
    if has_died and control.phase not in _NOT_WATCHED:
        alarms.append(f"{sign.sentence}; what is late is given up by nobody")
    return SwitchStatus(
        closure=closure.name,
        phase=row.phase,
        owner=row.owner,
        epoch=row.epoch,
        writer=_writer(control, fence),
        fence=_say(fence),
        deadline=row.deadline,
        seconds_left=(row.deadline - now()).total_seconds() if row.deadline else None,
        reason=account.find_reason(),
        past=account.find_past(row.owner),
        way_back=say_gauge(gauge),
        rehearsed=say_rehearsal(gauge),
        guard=sign.sentence,
        alarms=tuple(filter(None, alarms)),
        doubts=doubts,
        next_command=_next(control, is_known=fence is None or fence.nonce in _known(control)),
        gauge=gauge,
    )


def _read_fence(rig: Rig, closure: Closure) -> FenceState | None:
    door = rig.fence(closure.name)
    try:
        return door.read()
    except SourceUnavailable:
        return None
    finally:
        door.disconnect()


def _writer(control: Control, fence: FenceState | None) -> Writer:
    new = control.phase.canonical_writes and control.row.is_armed
    if fence is None:
        return Writer.UNKNOWN
    if new:
        return Writer.NEW if fence.is_shut else Writer.UNKNOWN
    return Writer.NOBODY if fence.is_shut else Writer.OLD


def _doubts(control: Control, fence: FenceState | None) -> list[str]:
    """Say what does not fit; a link that is cut is a doubt only where the fence should hold people out."""
    row = control.row
    if control.phase is Phase.HALT:
        return [f"{row.closure} is stopped until two people have decided"]
    if fence is None:
        return ["the old system does not answer: whether it is closed is not known"]
    found = []
    if fence.nonce not in _known(control):
        found.append("the old system is not the one banyan knows: restored, or worked by another hand")
    if fence.token > row.epoch:
        found.append(f"the old system has seen token {fence.token}, later than epoch {row.epoch}")
    if row.owner is Side.CANONICAL and not fence.is_shut:
        found.append("the old system is open while the new one owns: both could write")
    return found


def _known(control: Control) -> tuple[UUID, UUID]:
    return control.row.nonce, next_nonce(control.row.nonce)


def _say(fence: FenceState | None) -> str:
    if fence is None:
        return "no answer"
    left = f", {fence.lease_seconds:.1f} s left" if fence.is_shut and fence.lease_seconds is not None else ""
    return f"{fence.mode.value}{left}, token {fence.token}"


def _next(control: Control, *, is_known: bool) -> str:
    row = control.row
    deadline, name = row.deadline, row.closure
    if control.phase is Phase.HALT:
        return f"banyan switch reconcile {name} --keep canonical --as lead    (or --keep legacy; then a steward)"
    if row.is_armed and not is_known and control.phase in (Phase.SYNCING, Phase.READY, Phase.LIVE):
        return f"banyan switch reconcile {name} --keep {row.owner.value.lower()} --as lead    (and a steward)"
    if not row.is_armed:
        return "banyan guard --once"
    match control.phase:
        case Phase.SYNCING | Phase.READY:
            return f"banyan switch plan {name}"
        case Phase.LIVE:
            return f"banyan switch rollback {name}    (when it must go back)"
        case Phase.FENCING | Phase.DRAINING | Phase.VERIFYING | Phase.SEALING:
            late = deadline is None or now() > deadline
            return "banyan guard --once" if late else f"banyan switch run {name}"
        case Phase.R_DRAINING | Phase.R_VERIFYING:
            return f"banyan switch rollback {name}"
        case Phase.ABORTING | Phase.R_OPENING:
            return "banyan guard --once"
        case Phase.COMPLETING:
            return f"banyan switch complete {name} --as lead"
        case _:
            return f"banyan sync status {row.department_code}"
