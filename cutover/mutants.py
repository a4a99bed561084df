"""The protocol with one decision replaced: each mutant must break, or the exploration proves nothing.

A mutant differs from the program's rules in the one way its sentence says. `SEALNOTOKEN` is equivalent: the other
conditions carry what it drops, and it must hold.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from cutover import door, protocol
from cutover.door import Answer, Effect, Fence, Mode
from cutover.explorer import Exploration
from cutover.protocol import ControlRow, Deed, OwnerNumber, PhaseNumber, Refusal, Step
from cutover.world import Bounds, Edge, Rules, State, Violation


@dataclass(frozen=True, slots=True)
class Mutant:
    """One wrong decision, where it shows, and whether the comparison inside the fence stops it."""

    name: str
    meaning: str
    rules: Rules
    bounds: Bounds = field(default_factory=lambda: Bounds(writes=1, attempts=1))
    killed_by: Violation | None = Violation.LOST_WRITE
    is_stopped_by_verification: bool = False
    is_extra: bool = False  # ours, beyond the eighteen of the protocol

    @property
    def bounds_compared(self) -> Bounds:
        """Give two writes, with changed rows compared inside the fence."""
        return replace(self.bounds, verify=True, writes=2)

    def is_killed_by(self, found: Exploration) -> bool:
        """Tell whether an exploration ended as it must, with nothing compared."""
        return found.violation is self.killed_by

    def is_right_when_compared(self, found: Exploration) -> bool:
        """Tell whether an exploration ended as it must, with changed rows compared before each flip."""
        return (found.violation is None) == (self.is_stopped_by_verification or self.killed_by is None)


Door = Callable[..., tuple[Fence, Answer]]


def _door(*, close: str = "", seal: str = "", any_token: bool = False, any_nonce: bool = False) -> Door:
    """Give the fence door with one condition left out."""

    def wrong(
        fence: Fence, what: Effect, *, token: int, clock: int, lease: int, nonces: tuple[int, int]
    ) -> tuple[Fence, Answer]:
        known = (fence.nonce, fence.nonce) if any_nonce else nonces
        mine = fence.token == token
        is_over = fence.mode == Mode.CLOSED and clock >= fence.lease_until
        if what is Effect.CLOSE and (
            any_token
            or (close == "again" and mine and is_over)
            or (close == "downgrade" and mine and fence.mode == Mode.SEALED)
        ):
            return Fence(Mode.CLOSED, max(token, fence.token), clock + lease, known[1]), Answer.OK
        if what is Effect.OPEN and any_token:
            return Fence(Mode.OPEN, max(token, fence.token), 0, known[1]), Answer.OK
        if what is Effect.SEAL and seal == "any lease" and mine and is_over:
            return Fence(Mode.SEALED, token, 0, known[1]), Answer.OK
        if what is Effect.SEAL and seal == "any token":
            token = fence.token
        return door.effect(fence, what, token=token, clock=clock, lease=lease, nonces=known)

    return wrong


def _two_forward_appliers(s: State) -> Iterator[Edge]:
    """Let a second forward applier read a change, sleep, and apply it past the new side's fence."""
    if not s.extra and s.forward < len(s.log):
        yield "a second forward applier reads a change", s._replace(extra=(s.forward, *s.log[s.forward]))
    if s.extra:
        position, key, value, is_echo = s.extra
        canonical = s.canonical if is_echo else _put(s.canonical, key, value)
        moved = s._replace(extra=(), canonical=canonical, forward=s.forward + (s.forward == position))
        yield "the second forward applier applies it", moved


def _position_apart(s: State) -> Iterator[Edge]:
    """Let a second reverse applier write a change in one transaction and its position in another."""
    if not s.extra and s.reverse < len(s.outbox):
        yield "a second reverse applier reads a change", s._replace(extra=(s.reverse, *s.outbox[s.reverse]))
    if s.extra:
        position, key, value = s.extra
        written = s._replace(extra=(), legacy=_put(s.legacy, key, value), log=(*s.log, (key, value, 1)))
        yield (
            "the second reverse applier applies it",
            written._replace(reverse=s.reverse + (s.reverse == position)),
        )


def _capture_after_the_flip(s: State) -> Iterator[Edge]:
    """Let somebody switch the reverse capture on once the new side is open."""
    if not s.extra and s.control.phase == PhaseNumber.LIVE:
        yield "the reverse capture is switched on", s._replace(extra=(1,))


def _open_before_the_abort(s: State) -> Iterator[Edge]:
    """Let an abort open the legacy fence before it has committed its epoch."""
    if not s.cut and s.control.phase in protocol.ABORT.sources:
        yield "an abort opens before it commits", s._replace(fence=s.fence._replace(mode=Mode.OPEN, lease_until=0))


def _code_before_the_abort(s: State) -> Iterator[Edge]:
    """Let the telephone code be given while the switch is SEALING."""
    if s.cut and s.control.phase == PhaseNumber.SEALING and s.fence.mode == Mode.SEALED:
        yield "a person opens with a code given while SEALING", s._replace(fence=s.fence._replace(mode=Mode.OPEN))


def _late_witness(s: State) -> Iterator[Edge]:
    """Let the witness hear of the epoch and the outbox some time after the commit."""
    head = (s.control.epoch, len(s.outbox))
    if s.control.armed and s.witness != head:
        yield "the witness hears of it", s._replace(witness=head)


def _applies_in_live(control: ControlRow, side: int) -> bool:
    """Let the forward applier pass whoever owns the slice."""
    if side == OwnerNumber.LEGACY:
        return bool(control.armed) and control.phase != PhaseNumber.HALT
    return protocol.admits_canonical(control, side)


def _ignores_the_latch(control: ControlRow, side: int) -> bool:
    """Let applications write in a started store that nobody has compared with the witness."""
    return protocol.admits_canonical(control._replace(armed=1) if side else control, side)


def _looks_at_the_owner(control: ControlRow, side: int) -> bool:
    """Let applications write whenever CANONICAL is the owner, whatever the phase."""
    return bool(control.armed) and control.owner == side


def _start_anywhere(control: ControlRow, epoch: int, *, nonce: int) -> ControlRow | Refusal:
    """Begin a switch whatever the nonce."""
    del nonce
    return protocol.start(control, epoch, nonce=control.nonce)


def _commit_without_epoch(control: ControlRow, step: Step) -> ControlRow | Refusal:
    """Let the flip look at the phase only."""
    token = control.epoch if step.deed == Deed.FLIP else step.token
    return protocol.commit(control, step._replace(token=token, value=token if step.deed == Deed.FLIP else step.value))


def _flip_on_a_lease(control: ControlRow, step: Step) -> ControlRow | Refusal:
    """Let the flip start from VERIFYING, on a lease that somebody saw running."""
    if step.deed == Deed.FLIP and control.phase == PhaseNumber.VERIFYING:
        control = control._replace(phase=PhaseNumber.SEALING)
    return protocol.commit(control, step)


def _flip_before_the_seal(step: Step, answer: Answer, *, value: int = 0) -> Step:
    """Go from the comparison to the flip, and seal afterwards."""
    if step.deed == Deed.VERIFY_CHANGED and answer is Answer.OK:
        return Step(Deed.FLIP, step.token, step.nonce, step.token)
    return protocol.REST if step.deed == Deed.SEAL_LEGACY else protocol.after(step, answer, value=value)


def _seal_in_live(control: ControlRow) -> Step:
    """Take the seal up once the flip is done."""
    if control.phase == PhaseNumber.LIVE:
        return Step(Deed.SEAL_LEGACY, control.epoch - 1, control.nonce, 0)
    return protocol.next_step(control)


def _put(values: tuple[int, ...], key: int, value: int) -> tuple[int, ...]:
    return (*values[:key], value, *values[key + 1 :])


_TWO_WRITES: Final = Bounds(attempts=1)
_CONTROL_RESTORED: Final = Bounds(writes=1, attempts=1, control_restores=1, backups=1)
_LEGACY_RESTORED: Final = Bounds(writes=1, attempts=1, legacy_restores=1)

FIRST_SEVEN: Final = (
    Mutant(
        "NODRAIN",
        "the drain position is read while legacy transactions are open",
        Rules(waits_for_open_transactions=False),
    ),
    Mutant(
        "POSBEFORE",
        "the drain position is read before the legacy fence is closed",
        Rules(takes_position_before_close=True),
        is_stopped_by_verification=True,
    ),
    Mutant("NOTOKEN", "the legacy fence closes and opens for any token", Rules(effect=_door(any_token=True))),
    Mutant(
        "FZOMBIE", "a second forward applier writes past the fence", Rules(happening=_two_forward_appliers), _TWO_WRITES
    ),
    Mutant(
        "RZOMBIE",
        "the reverse position is not in the transaction of its rows",
        Rules(happening=_position_apart),
        _TWO_WRITES,
    ),
    Mutant(
        "REVLATE",
        "the reverse capture is switched on after the flip",
        Rules(captures=lambda s: bool(s.extra), happening=_capture_after_the_flip),
        is_stopped_by_verification=True,
    ),
    Mutant(
        "ECHO",
        "the forward applier runs in LIVE and carries the reverse applier's writes",
        Rules(skips_echo=False, admits_canonical=_applies_in_live),
        _TWO_WRITES,
    ),
)

MUTANTS: Final = (
    *FIRST_SEVEN,
    Mutant(
        "FLIPNOSEAL",
        "the flip trusts a running lease, the seal comes afterwards",
        Rules(commit=_flip_on_a_lease, after=_flip_before_the_seal, next_step=_seal_in_live),
    ),
    Mutant("SEALNOLEASE", "the seal does not look at the lease", Rules(effect=_door(seal="any lease"))),
    Mutant("ABORTEARLY", "an abort opens before it commits", Rules(happening=_open_before_the_abort)),
    Mutant(
        "FLIPNOEPOCH",
        "the flip looks at the phase, not at the epoch",
        Rules(commit=_commit_without_epoch),
        Bounds(writes=1),
    ),
    Mutant("RECLOSE", "one token may close again after its lease", Rules(effect=_door(close="again"))),
    Mutant("DOWNGRADE", "a late close turns a seal into a lease", Rules(effect=_door(close="downgrade"))),
    Mutant(
        "PHONEANY",
        "a telephone code is given while SEALING",
        Rules(happening=_code_before_the_abort),
        Bounds(attempts=1, cuts=1),
    ),
    Mutant("NOISOLATE", "a restored legacy system lets clients in", Rules(isolates_restored=False), _LEGACY_RESTORED),
    Mutant(
        "NODETECT",
        "the nonce is not looked at",
        Rules(
            effect=_door(any_nonce=True),
            recognises=lambda _control, _nonce: True,
            start=_start_anywhere,
            admits_reverse=lambda c, f: protocol.admits_reverse(c._replace(nonce=f.nonce), f),
        ),
        Bounds(attempts=1, legacy_restores=1),
    ),
    Mutant(
        "NOLATCH",
        "a restored control store opens before it is compared with the witness",
        Rules(admits_canonical=_ignores_the_latch),
        _CONTROL_RESTORED,
        Violation.TWO_WRITERS,
    ),
    Mutant(
        "LAGWIT",
        "the witness hears of a commit after it is acknowledged",
        Rules(is_witness_synchronous=False, happening=_late_witness),
        _CONTROL_RESTORED,
        Violation.RESTORE_MISSED,
    ),
    Mutant(
        "OWNERONLY",
        "the new side's fence looks at the owner, not at the phase",
        Rules(admits_canonical=_looks_at_the_owner),
        is_extra=True,
    ),
    Mutant(
        "DRAINAPART",
        "the watermark is read before the transaction that commits the drain",
        Rules(reads_watermark_apart=True),
        _CONTROL_RESTORED,
        is_extra=True,
    ),
    Mutant(
        "SEALNOTOKEN",
        "the seal does not look at the token",
        Rules(effect=_door(seal="any token")),
        Bounds(writes=1),
        killed_by=None,
    ),
)


def find_mutant(name: str) -> Mutant | None:
    """Give the mutant of this name."""
    return next((mutant for mutant in MUTANTS if mutant.name == name.upper()), None)
