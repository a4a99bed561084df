"""The rules of a change of owner, as pure functions of small tuples of whole numbers.

The executor and the explorer (`cutover/explorer.py`) call the same functions; there is no second copy. What a
transition may do is in `TRANSITIONS`, what a controller does next is in `next_step` and `after`, what the legacy
fence answers is in `cutover/door.py`, and who may write is in the functions named `admits_`. A refusal is a value.
"""

from enum import IntEnum
from typing import Final, NamedTuple

from banyan.departments import Phase, Side
from cutover.door import Answer, Effect, Fence, Mode


class PhaseNumber(IntEnum):
    """A Phase as a number; same names, see `phase_of`."""

    REGISTERED = 0
    ASSESSED = 1
    MAPPED = 2
    LOADING = 3
    SYNCING = 4
    READY = 5
    FENCING = 6
    DRAINING = 7
    VERIFYING = 8
    SEALING = 9
    LIVE = 10
    R_DRAINING = 11
    R_VERIFYING = 12
    R_OPENING = 13
    ABORTING = 14
    COMPLETING = 15
    RETIRED = 16
    HALT = 17


class OwnerNumber(IntEnum):
    """A Side as a number; same names."""

    LEGACY = 0
    CANONICAL = 1


class Refusal(IntEnum):
    """Why a transition of the control row, or a code, was refused; nothing was changed."""

    PHASE_MOVED = 1  # the row is in a phase from which this transition does not start
    EPOCH_MOVED = 2  # somebody has changed the row since it was read
    NOT_ARMED = 3  # the store has restarted and the guard has not compared it with the witness
    NOT_SEALED = 4  # no acknowledged seal of this very epoch
    OTHER_INCARNATION = 5  # the legacy store is not the one whose nonce we know
    BEHIND_WITNESS = 6  # the witness has seen an epoch or an outbox entry that this store does not hold
    BEHIND_LEGACY = 7  # the legacy store holds a token or a reverse position that this store never gave
    NO_CODE_BEFORE_ABORT = 8  # nothing is opened by telephone before the abort or the flip back is committed


class ControlRow(NamedTuple):
    """The slice row of a closure: the only truth about who owns it."""

    phase: int
    owner: int
    epoch: int
    drain_known: int  # 1 once the drain position is committed
    nonce: int  # the legacy incarnation we know (`uuid.int` of the stored nonce)
    armed: int  # 1 when armed_boot is the start of the server that holds this row


_KEEP: Final = -1


class Transition(NamedTuple):
    """One legal change of the control row: compare-and-set on (phase, epoch)."""

    name: str
    sources: frozenset[PhaseNumber]
    target: PhaseNumber
    owner: int  # of the row afterwards; -1 keeps it (HALT)
    epoch_step: int
    drain_known: int  # afterwards; -1 keeps it
    proof: bool  # more is asked than phase and epoch: only by the function of that name
    meaning: str


def phase_of(number: int) -> Phase:
    """Give the word of a phase number."""
    return Phase[PhaseNumber(number).name]


def number_of(phase: Phase) -> PhaseNumber:
    """Give the number of a phase word."""
    return PhaseNumber[phase.name]


def side_of(number: int) -> Side:
    """Give the word of an owner number."""
    return Side[OwnerNumber(number).name]


def _transition(path: str, meaning: str, *, step: int = 0, drain: int = _KEEP, proof: bool = False) -> Transition:
    """Read `name: SOURCE SOURCE > TARGET`; the owner afterwards is the one the target's word says."""
    name, phases = path.split(": ")
    sources, target = phases.split(" > ")
    owner = Phase[target].owner
    number = _KEEP if owner is None else OwnerNumber[owner.name]
    before = list(PhaseNumber) if sources == "any" else [PhaseNumber[word] for word in sources.split()]
    return Transition(
        name, frozenset(before) - {PhaseNumber.HALT}, PhaseNumber[target], number, step, drain, proof, meaning
    )


_t = _transition
ASSESSED: Final = _t("assessed: REGISTERED > ASSESSED", "the inventory is done")
MAPPED: Final = _t("mapped: ASSESSED > MAPPED", "the rules are pinned and their losses signed")
LOADING: Final = _t("loading: MAPPED SYNCING > LOADING", "capture runs, the first copy begins")
SYNCING: Final = _t("syncing: LOADING > SYNCING", "the first copy is done, changes flow")
READY: Final = _t("ready: SYNCING > READY", "the gate is green, fresh and signed")
GATE_EXPIRED: Final = _t("gate_expired: READY > SYNCING", "the gate is no longer green, fresh or signed")
START: Final = _t("start: SYNCING READY > FENCING", "a switch begins", step=1, drain=0, proof=True)
POSITION: Final = _t("drain_position_committed: FENCING > DRAINING", "the drain position is in the row", drain=1)
DRAINED: Final = _t("drained: DRAINING > VERIFYING", "the forward position has reached it")
VERIFIED: Final = _t("verified: VERIFYING > SEALING", "rows are equal; from here the fence may be sealed")
DIFFERS: Final = _t("differs: VERIFYING > ABORTING", "rows are not equal", step=1, drain=0)
FLIP: Final = _t("flip: SEALING > LIVE", "the new side owns and opens", step=1, drain=0, proof=True)
ABORT: Final = _t(
    "abort: FENCING DRAINING VERIFYING SEALING > ABORTING", "given up, before anything is opened", step=1, drain=0
)
OPENED: Final = _t("opened: ABORTING R_OPENING > SYNCING", "the legacy fence is open again")
ROLL_BACK: Final = _t("roll_back: LIVE > R_DRAINING", "the way back begins; the new side closes", step=1)
ROLLED_DRAINED: Final = _t("rolled_drained: R_DRAINING > R_VERIFYING", "legacy holds every outbox entry")
CANCEL_ROLLBACK: Final = _t("cancel_rollback: R_DRAINING R_VERIFYING > LIVE", "the new side reopens", step=1)
FLIP_BACK: Final = _t("flip_back: R_VERIFYING > R_OPENING", "the legacy side owns again, still closed", step=1)
ROLLED_DIFFERS: Final = _t("rolled_differs: R_VERIFYING > LIVE", "rows are not equal: the new side reopens", step=1)
RELOADED: Final = _t(
    "reloaded: SYNCING READY ABORTING > SYNCING",
    "a restored legacy owner was loaded again",
    step=1,
    drain=0,
    proof=True,
)
RESEALED: Final = _t("resealed: LIVE > LIVE", "a restored legacy system was sealed and written again", proof=True)
COMPLETE: Final = _t("complete: LIVE > COMPLETING", "the way back is given up for good", step=1)
RETIRE: Final = _t("retire: COMPLETING > RETIRED", "the legacy scaffolding is removed")
HALT: Final = _t("halt: any > HALT", "stopped until people decide", step=1, proof=True)

TRANSITIONS: Final = (
    *(ASSESSED, MAPPED, LOADING, SYNCING, READY, GATE_EXPIRED),
    *(START, POSITION, DRAINED, VERIFIED, DIFFERS, FLIP, ABORT, OPENED),
    *(ROLL_BACK, ROLLED_DRAINED, CANCEL_ROLLBACK, FLIP_BACK, ROLLED_DIFFERS),
    *(RELOADED, RESEALED, COMPLETE, RETIRE, HALT),
)
"""Every legal change of the control row; HALT is left by people, not by this table."""


def allowed(phase: Phase) -> tuple[Transition, ...]:
    """Give the transitions that may start from a phase."""
    return tuple(t for t in TRANSITIONS if number_of(phase) in t.sources)


def change(control: ControlRow, transition: Transition, *, epoch: int) -> ControlRow | Refusal:
    """Change the row if it is still what the caller read: a source phase of the transition, that epoch, armed.

    DRAINED asks for one thing more of its caller: the forward watermark is read under a lock in the transaction that
    commits it. A position read before could belong to a store restored since with the same epoch (mutant DRAINAPART).
    """
    if transition.proof:
        raise ValueError(f"{transition.name} asks for a proof: call the function of that name")
    return _change(control, transition, epoch)


def _change(control: ControlRow, transition: Transition, epoch: int) -> ControlRow | Refusal:
    _, sources, target, owner, step, drain_known, _, _ = transition
    if control.phase not in sources:
        return Refusal.PHASE_MOVED
    if control.epoch != epoch:
        return Refusal.EPOCH_MOVED
    if not control.armed:
        return Refusal.NOT_ARMED
    if owner == _KEEP:
        owner = control.owner
    if drain_known == _KEEP:
        drain_known = control.drain_known
    return ControlRow(target, owner, epoch + step, drain_known, control.nonce, control.armed)


def start(control: ControlRow, epoch: int, *, nonce: int) -> ControlRow | Refusal:
    """Begin a switch; `nonce` is the one just probed at the legacy fence."""
    if not recognises(control, nonce):
        return Refusal.OTHER_INCARNATION
    return _change(control, START, epoch)


def flip(control: ControlRow, epoch: int, *, sealed_with: int) -> ControlRow | Refusal:
    """Make CANONICAL the owner; `sealed_with` is the token of one's own acknowledged seal."""
    if sealed_with != epoch:
        return Refusal.NOT_SEALED
    return _change(control, FLIP, epoch)


def reloaded(control: ControlRow, epoch: int, *, nonce: int) -> ControlRow | Refusal:
    """Adopt a restored legacy system that owns the slice, once its rows are loaded again."""
    row = _change(control, RELOADED, epoch)
    return row if isinstance(row, Refusal) else row._replace(nonce=nonce)


def resealed(control: ControlRow, epoch: int, *, nonce: int) -> ControlRow | Refusal:
    """Adopt a restored legacy system that does not own the slice, once sealed and written from the new side."""
    row = _change(control, RESEALED, epoch)
    return row if isinstance(row, Refusal) else row._replace(nonce=nonce)


class Comparison(NamedTuple):
    """What the guard saw when it compared a started control store with the world."""

    witness_epoch: int
    outbox_ahead: int  # 1 when the witness knows outbox entries that this store does not hold
    legacy_reached: int  # 0 when the link is cut; the last three are then not looked at
    legacy_token: int
    reverse_ahead: int  # 1 when the legacy store has applied outbox entries that this store does not hold
    legacy_nonce: int


def arm(control: ControlRow, seen: Comparison) -> ControlRow | Refusal:
    """Let a started store be used, once nothing shows that it has lost something; otherwise `halt`."""
    if control.phase == PhaseNumber.HALT:
        return Refusal.PHASE_MOVED
    if seen.witness_epoch > control.epoch or seen.outbox_ahead:
        return Refusal.BEHIND_WITNESS
    if seen.legacy_reached and (seen.legacy_token > control.epoch or seen.reverse_ahead):
        return Refusal.BEHIND_LEGACY
    if seen.legacy_reached and not recognises(control, seen.legacy_nonce):
        return Refusal.OTHER_INCARNATION
    return control._replace(armed=1)


def halt(control: ControlRow, *, floor: int = 0) -> ControlRow | Refusal:
    """Stop the slice until people decide: nobody is armed, and the epoch is above every token ever seen (`floor`)."""
    if control.phase == PhaseNumber.HALT:
        return Refusal.PHASE_MOVED
    return control._replace(phase=HALT.target, epoch=max(control.epoch, floor) + HALT.epoch_step, armed=0)


def resume(control: ControlRow, epoch: int, *, keep: int, nonce: int) -> ControlRow | Refusal:
    """Leave HALT as two people decided: the copy they keep owns; `nonce` is the one just read at the legacy fence.

    CANONICAL opens at once: the legacy side was sealed and written before. LEGACY is loaded again before it is SYNCING.
    """
    if control.phase != PhaseNumber.HALT:
        return Refusal.PHASE_MOVED
    if control.epoch != epoch:
        return Refusal.EPOCH_MOVED
    phase = PhaseNumber.LIVE if keep == OwnerNumber.CANONICAL else PhaseNumber.LOADING
    return ControlRow(phase, keep, control.epoch + 1, 0, nonce, 1)


def phone_token(control: ControlRow) -> int | Refusal:
    """Give the token of the code that opens the legacy fence by telephone, once an abort or flip back is committed."""
    if control.phase not in OPENED.sources:
        return Refusal.NO_CODE_BEFORE_ABORT
    return control.epoch if control.armed else Refusal.NOT_ARMED


def recognises(control: ControlRow, nonce: int) -> bool:
    """Tell whether the legacy store just seen is the one the control row knows."""
    return nonce == control.nonce


_CANONICAL_OPEN: Final = frozenset(number_of(p) for p in Phase if p.canonical_writes)


def admits_canonical(control: ControlRow, side: int) -> bool:
    """Tell whether the new side's fence lets a writer of this side pass (LEGACY is the forward applier).

    The owner alone does not answer for the applications: in R_DRAINING and R_VERIFYING the owner is CANONICAL and
    nobody may write (mutant OWNERONLY).
    """
    if not control.armed or control.phase == PhaseNumber.HALT:
        return False
    if side == OwnerNumber.LEGACY:
        return control.owner == OwnerNumber.LEGACY
    return control.phase in _CANONICAL_OPEN


def admits_reverse(control: ControlRow, fence: Fence) -> bool:
    """Tell whether the reverse applier, which read this row, may write: sealed, by no later token, known nonce."""
    return (
        fence.mode == Mode.SEALED
        and fence.token <= control.epoch
        and recognises(control, fence.nonce)
        and control.phase in (PhaseNumber.LIVE, PhaseNumber.R_DRAINING)
        and control.armed == 1
    )


class Deed(IntEnum):
    """One deed of a controller."""

    REST = 0
    CLOSE_LEGACY = 1
    READ_DRAIN_POSITION = 2  # once no legacy transaction is open any more
    COMMIT_POSITION = 3
    DRAIN = 4  # wait for the forward position, and commit DRAINED in the transaction that read it
    VERIFY_CHANGED = 5
    COMMIT_VERIFIED = 6
    COMMIT_DIFFERS = 7
    SEAL_LEGACY = 8
    FLIP = 9
    ABORT = 10
    OPEN_LEGACY = 11
    COMMIT_OPENED = 12
    DRAIN_REVERSE = 13
    COMMIT_ROLLED_DRAINED = 14
    VERIFY_REVERSE = 15
    FLIP_BACK = 16
    COMMIT_ROLLED_DIFFERS = 17


class Step(NamedTuple):
    """What a controller holds in its hands; it is lost when the controller dies."""

    deed: int
    token: int  # the epoch of the row when it was read
    nonce: int  # the incarnation known when it was read
    value: int  # the drain position (or 0), or the token of the acknowledged seal


REST: Final = Step(Deed.REST, 0, 0, 0)

_FIRST: Final[dict[int, Deed]] = {
    PhaseNumber.FENCING: Deed.CLOSE_LEGACY,
    PhaseNumber.DRAINING: Deed.DRAIN,
    PhaseNumber.VERIFYING: Deed.VERIFY_CHANGED,
    PhaseNumber.SEALING: Deed.SEAL_LEGACY,
    PhaseNumber.ABORTING: Deed.OPEN_LEGACY,
    PhaseNumber.R_OPENING: Deed.OPEN_LEGACY,
    PhaseNumber.R_DRAINING: Deed.DRAIN_REVERSE,
    PhaseNumber.R_VERIFYING: Deed.VERIFY_REVERSE,
}

_THEN: Final[dict[tuple[int, int], Deed]] = {
    (Deed.CLOSE_LEGACY, Answer.OK): Deed.READ_DRAIN_POSITION,
    (Deed.CLOSE_LEGACY, Answer.TOKEN_USED): Deed.ABORT,  # the lease is over: abort, never close again
    (Deed.CLOSE_LEGACY, Answer.OTHER_INCARNATION): Deed.ABORT,
    (Deed.CLOSE_LEGACY, Answer.NO_FENCE): Deed.ABORT,
    (Deed.READ_DRAIN_POSITION, Answer.OK): Deed.COMMIT_POSITION,
    (Deed.VERIFY_CHANGED, Answer.OK): Deed.COMMIT_VERIFIED,
    (Deed.VERIFY_CHANGED, Answer.DIFFERENT): Deed.COMMIT_DIFFERS,
    (Deed.SEAL_LEGACY, Answer.OK): Deed.FLIP,
    (Deed.SEAL_LEGACY, Answer.LEASE_OR_TOKEN_LOST): Deed.ABORT,
    (Deed.SEAL_LEGACY, Answer.OTHER_INCARNATION): Deed.ABORT,
    (Deed.SEAL_LEGACY, Answer.NO_FENCE): Deed.ABORT,
    (Deed.OPEN_LEGACY, Answer.OK): Deed.COMMIT_OPENED,
    (Deed.DRAIN_REVERSE, Answer.OK): Deed.COMMIT_ROLLED_DRAINED,
    (Deed.VERIFY_REVERSE, Answer.OK): Deed.FLIP_BACK,
    (Deed.VERIFY_REVERSE, Answer.DIFFERENT): Deed.COMMIT_ROLLED_DIFFERS,
}

COMMITS: Final[dict[int, Transition]] = {
    Deed.COMMIT_POSITION: POSITION,
    Deed.DRAIN: DRAINED,
    Deed.COMMIT_VERIFIED: VERIFIED,
    Deed.COMMIT_DIFFERS: DIFFERS,
    Deed.FLIP: FLIP,
    Deed.ABORT: ABORT,
    Deed.COMMIT_OPENED: OPENED,
    Deed.COMMIT_ROLLED_DRAINED: ROLLED_DRAINED,
    Deed.FLIP_BACK: FLIP_BACK,
    Deed.COMMIT_ROLLED_DIFFERS: ROLLED_DIFFERS,
}
"""The transition that a deed commits; the other deeds look at the world or change the legacy fence."""

EFFECTS: Final[dict[int, Effect]] = {
    Deed.CLOSE_LEGACY: Effect.CLOSE,
    Deed.SEAL_LEGACY: Effect.SEAL,
    Deed.OPEN_LEGACY: Effect.OPEN,
}
"""The effect that a deed asks of the legacy fence."""


def next_step(control: ControlRow) -> Step:
    """Give the step that empty hands take up after reading the row; REST unless it is armed and a machine's turn."""
    deed = _FIRST.get(control.phase) if control.armed else None
    return REST if deed is None else Step(deed, control.epoch, control.nonce, 0)


def after(step: Step, answer: Answer, *, value: int = 0) -> Step:
    """Give the step that follows an answer; REST means: read the row again. `value` is the drain position read."""
    deed = _THEN.get((step.deed, answer))
    if deed is None:
        return REST
    return Step(deed, step.token, step.nonce, step.token if deed is Deed.FLIP else value)


def commit(control: ControlRow, step: Step) -> ControlRow | Refusal:
    """Commit what the step in hand says, if the row is still the one it was taken from."""
    if step.deed == Deed.FLIP:
        return flip(control, step.token, sealed_with=step.value)
    return _change(control, COMMITS[step.deed], step.token)
