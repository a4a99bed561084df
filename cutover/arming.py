"""A store that has started is compared with the journal and the old side: armed, or stopped until people decide."""

from banyan.departments import Actor, Closure, Phase
from banyan.errors import LeaseLost, SourceUnavailable, SwitchUncertain
from banyan.ports import FenceState
from cutover import protocol
from cutover.control import Control, Writing, committed, held, move, next_nonce
from cutover.journal import Word, read_account
from cutover.protocol import ABORT, OPENED, Comparison, Refusal, number_of
from store.journal import verify_journal
from store.outbox import is_ahead
from store.postgres import transaction
from store.slices import arm
from sync.assembly import Rig

_TURNING = ABORT.sources | OPENED.sources | {number_of(phase) for phase in (Phase.SYNCING, Phase.READY, Phase.LIVE)}
"""Phases in which the fence may hold the next nonce already: at a close, at an opening, at a renewal."""


def arm_or_halt(rig: Rig, closure: Closure, control: Control, actor: Actor) -> str:
    """Compare a started store with the journal and the old side; says what was done, or UNCERTAIN when it stopped."""
    engine = rig.workspace.engine("banyan_guard")
    seen = _compare(rig, closure, control)
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


def halt_restored(rig: Rig, closure: Closure, control: Control, actor: Actor) -> bool:
    """Stop a way back whose old side came back from a backup before it was opened; the new side's copy is complete."""
    if control.phase is not Phase.R_OPENING or not control.row.is_armed:
        return False
    fence = _read_fence(rig, closure)
    if fence is None or fence.nonce in (control.row.nonce, next_nonce(control.row.nonce)):
        return False
    found = move(
        rig.workspace.engine("banyan_guard"),
        closure.name,
        lambda row: protocol.halt(row, floor=fence.token),
        actor=actor,
        writing=Writing(deadline=None, words=lambda _: {Word.GUARD: {"halted": "another incarnation"}}),
    )
    return not isinstance(found, Refusal)


def _compare(rig: Rig, closure: Closure, control: Control) -> Comparison:
    fence = _read_fence(rig, closure)
    with transaction(rig.workspace.engine("banyan_guard")) as connection:
        witness = read_account(connection, closure.name).highest_epoch
        is_whole = verify_journal(connection).is_whole
    return Comparison(
        witness_epoch=witness,
        outbox_ahead=int(not is_whole),
        legacy_reached=int(fence is not None),
        legacy_token=fence.token if fence else 0,
        reverse_ahead=int(fence is not None and not _is_way_back_known(rig, closure)),
        legacy_nonce=_recognised(control, fence) if fence else 0,
    )


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
    is_turning = control.numbers.phase in _TURNING and fence.nonce == next_nonce(control.row.nonce)
    return control.row.nonce.int if is_turning else fence.nonce.int


def _is_way_back_known(rig: Rig, closure: Closure) -> bool:
    """Tell whether the place the way back has reached belongs to this store's history, and not to its future."""
    lane = rig.reverse(closure.name)
    try:
        position = lane.watermark()
        with transaction(rig.workspace.engine("banyan_reverse")) as connection:
            return not is_ahead(connection, position)
    except SwitchUncertain:
        return False
