"""The way out of HALT and of a restored old system: two persons say which copy stands, and the other one follows it.

Whoever is kept owns; the other side is written, or read, whole again before it counts as known. When a controller dies
in between, the same command goes on, or the two decide anew about what they then see.
"""

from dataclasses import dataclass, replace
from typing import Final

from banyan.departments import Actor, Closure, Phase, Side
from banyan.errors import SwitchRefused, SwitchUncertain
from banyan.ports import FenceState
from cutover import protocol
from cutover.control import Control, Writing, committed, held, move, read_control, write_move
from cutover.decisions import Question, agree
from cutover.journal import Facts, Word, read_account
from cutover.judgement import subject_of
from cutover.protocol import OwnerNumber, Refusal
from cutover.restored import follow_anew, is_history_known, known_keys, load_again, write_again
from store.postgres import transaction
from store.slices import arm
from sync.assembly import Rig
from sync.sweeping import take_start
from validation.reconcile import reconcile

_LEASE_SECONDS: Final = 60.0
_LEGACY_AT_REST: Final = (Phase.SYNCING, Phase.READY, Phase.ABORTING)


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What became of a decision: whether a second person is still missing, and what was written or read again."""

    closure: str
    kept: Side
    is_done: bool
    phase: Phase
    owner: Side
    epoch: int
    rows: int = 0
    strangers: int = 0
    read_again: tuple[str, ...] = ()
    """The closures whose rows were read again: all that LEGACY owns, when the history of the system was lost."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """The row and the fence that were decided about."""

    control: Control
    fence: FenceState


def reconcile_sides(rig: Rig, closure: Closure, keep: Side, *, actor: Actor) -> Reconciled:
    """Say which copy stands; once two persons have said the same of the same state, make the other one follow."""
    control = _read(rig, closure)
    state = _read_fence(rig, closure)
    if keep is Side.LEGACY and _is_being_loaded(rig, closure, control):
        return _follow_legacy(rig, closure, actor)
    _refuse_without_need(control, keep, is_unknown=state.nonce != control.row.nonce or not is_history_known(rig))
    question = Question.KEEP_CANONICAL if keep is Side.CANONICAL else Question.KEEP_LEGACY
    about = f"{control.phase.value} {control.row.epoch}, fence {state.mode.value} {state.token} {state.nonce}"
    with transaction(rig.workspace.engine("banyan_guard")) as connection, held(connection, closure.name) as same:
        if same.numbers != control.numbers:
            raise _moved(closure)
        other = agree(connection, same, question, about=about, actor=actor)
    if other is None:
        row = control.row
        return Reconciled(closure.name, keep, is_done=False, phase=row.phase, owner=row.owner, epoch=row.epoch)
    if keep is Side.CANONICAL:
        return _follow_canonical(rig, closure, control, state, actor)
    if control.phase is Phase.HALT:
        decided: Facts = {"kept": Side.LEGACY.value}
        _resume(rig, closure, _Seen(control, state), OwnerNumber.LEGACY, actor=actor, facts=decided)
    return _follow_legacy(rig, closure, actor)


def _follow_canonical(rig: Rig, closure: Closure, control: Control, state: FenceState, actor: Actor) -> Reconciled:
    """Seal the old side, write every record into it, compare all of it, and only then count it as known."""
    state = _seal(rig, closure, control, state)
    start = take_start(rig)  # nobody writes there but us: what changes from here on is compared at the way back
    written = write_again(rig, closure, state)
    compared = reconcile(subject_of(rig, closure.name), watermark=None, keys_by_table=known_keys(rig, closure))
    differences = int(compared.level.figures["differences"])
    if differences:
        raise SwitchRefused(
            f"{closure.name} was written again and still differs in {differences} places; the old side is sealed, "
            "nothing else was changed",
            hint=f"banyan recon run {closure.name}",
            reasons=[f"{group.table}: {group.cause} ({group.records})" for group in compared.causes],
        )
    facts: Facts = {
        "kept": Side.CANONICAL.value,
        "rows": written.records,
        "strangers": written.strangers,
        "legacy_position": start.position,
    }
    if control.phase is Phase.HALT:
        _resume(rig, closure, _Seen(control, state), OwnerNumber.CANONICAL, actor=actor, facts=facts)
    else:
        nonce = state.nonce
        writing = Writing(nonce=nonce, words=lambda _: {Word.RECONCILED: facts})
        found = move(
            rig.workspace.engine("banyan_guard"),
            closure.name,
            lambda row: protocol.resealed(row, control.row.epoch, nonce=nonce.int),
            actor=actor,
            writing=writing,
        )
        if isinstance(found, Refusal):
            raise _moved(closure)
    follow_anew(rig, start)
    return _report(rig, closure, Side.CANONICAL, written.records, written.strangers)


def _follow_legacy(rig: Rig, closure: Closure, actor: Actor) -> Reconciled:
    """Read every row of the old side forward again, commit, and open the old side."""
    engine = rig.workspace.engine("banyan_guard")
    control, state = _read(rig, closure), _read_fence(rig, closure)
    read = load_again(rig, closure)
    facts: Facts = {"kept": Side.LEGACY.value, "rows": read.rows, "read_again": " ".join(read.closures)}
    epoch, nonce = control.row.epoch, state.nonce

    def decide(row: protocol.ControlRow) -> protocol.ControlRow | Refusal:
        if control.phase is Phase.LOADING:
            return protocol.change(row, protocol.SYNCING, epoch=epoch)
        return protocol.reloaded(row, epoch, nonce=nonce.int)

    writing = Writing(deadline=None, drain_position=None, nonce=nonce, words=lambda _: {Word.RECONCILED: facts})
    found = move(engine, closure.name, decide, actor=actor, writing=writing)
    if isinstance(found, Refusal):
        raise _moved(closure)
    fence = rig.fence(closure.name)
    try:
        answer = fence.open(found.epoch, nonce_old=nonce)
    finally:
        fence.disconnect()
    if not answer.accepted:
        raise SwitchUncertain(
            f"the old side of {closure.name} refused to open: {answer.reason}. It owns, and nobody can write",
            hint="banyan guard --once",
        )
    return replace(_report(rig, closure, Side.LEGACY, read.rows, 0), read_again=read.closures)


def _seal(rig: Rig, closure: Closure, control: Control, state: FenceState) -> FenceState:
    """Shut the old side for good under the present epoch, as it is found; a repeated seal changes nothing."""
    fence = rig.fence(closure.name)
    known = {"nonce_old": state.nonce, "nonce_new": state.nonce}
    try:
        answer = fence.close(control.row.epoch, lease_seconds=_LEASE_SECONDS, **known)
        if answer.accepted:
            answer = fence.seal(control.row.epoch, **known)
        if not answer.accepted:
            raise SwitchRefused(
                f"the old side of {closure.name} cannot be sealed: {answer.reason}; nothing was written",
                hint=f"banyan switch status {closure.name}",
            )
        if not fence.wait_in_flight(_LEASE_SECONDS):
            raise SwitchRefused(
                f"a transaction of the old side of {closure.name} has not ended; it is sealed, nothing was written",
                hint=f"banyan switch reconcile {closure.name}",
            )
        return fence.read()
    finally:
        fence.disconnect()


def _resume(rig: Rig, closure: Closure, seen: _Seen, keep: OwnerNumber, *, actor: Actor, facts: Facts) -> None:
    """Leave HALT: the kept side owns, the store is armed, the nonce found is the known one."""
    with (
        committed(f"the end of the stop of {closure.name}"),
        transaction(rig.workspace.engine("banyan_guard")) as connection,
        held(connection, closure.name) as same,
    ):
        found = protocol.resume(same.numbers, seen.control.row.epoch, keep=keep, nonce=seen.fence.nonce.int)
        if isinstance(found, Refusal):
            raise _moved(closure)
        words = {Word.RECONCILED: facts}
        writing = Writing(drain_position=None, deadline=None, nonce=seen.fence.nonce, words=lambda _: words)
        write_move(connection, same, found, actor=actor, writing=writing)
        arm(connection, closure.name, actor=actor)


def _refuse_without_need(control: Control, keep: Side, *, is_unknown: bool) -> None:
    row = control.row
    needed = control.phase is Phase.HALT or (
        is_unknown and (control.phase is Phase.LIVE if keep is Side.CANONICAL else control.phase in _LEGACY_AT_REST)
    )
    if needed:
        return
    told = "the old system is not the one banyan knows" if is_unknown else "both sides are the ones banyan knows"
    raise SwitchRefused(
        f"there is nothing to decide about {row.closure} in favour of {keep.value}: {row.phase.value}, "
        f"owner {row.owner.value}, {told}. Nothing was touched",
        hint=f"banyan switch status {row.closure}",
    )


def _is_being_loaded(rig: Rig, closure: Closure, control: Control) -> bool:
    """Tell whether a decision for the old side was committed and its rows are still to be read."""
    if control.phase is not Phase.LOADING:
        return False
    with transaction(rig.workspace.engine("banyan_guard")) as connection:
        return read_account(connection, closure.name).last_move() == (Phase.HALT.value, Phase.LOADING.value)


def _read(rig: Rig, closure: Closure) -> Control:
    return read_control(rig.workspace.engine("banyan_guard"), closure.name)


def _read_fence(rig: Rig, closure: Closure) -> FenceState:
    fence = rig.fence(closure.name)
    try:
        return fence.read()
    finally:
        fence.disconnect()


def _report(rig: Rig, closure: Closure, kept: Side, rows: int, strangers: int) -> Reconciled:
    row = _read(rig, closure).row
    return Reconciled(
        closure.name,
        kept,
        is_done=True,
        phase=row.phase,
        owner=row.owner,
        epoch=row.epoch,
        rows=rows,
        strangers=strangers,
    )


def _moved(closure: Closure) -> SwitchRefused:
    return SwitchRefused(
        f"{closure.name} was changed while this was decided; this command changed nothing",
        hint=f"banyan switch status {closure.name}",
    )
