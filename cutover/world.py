"""A small world: what it holds, how much may happen in it, which decisions a mutant may replace, what must never be.

The ghosts know what was acknowledged and who may write; no rule looks at them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

from cutover import door, protocol
from cutover.door import Answer, Fence, Mode
from cutover.protocol import (
    REST,
    ControlRow,
    OwnerNumber,
    PhaseNumber,
    Refusal,
    Step,
)

LEASE: Final = 2
"""Ticks of a fresh lease; the model's clock stands at 0 and the lease runs down to it."""

LEGACY: Final = int(OwnerNumber.LEGACY)
CANONICAL: Final = int(OwnerNumber.CANONICAL)
Values = tuple[int, ...]  # the last value of each of two keys; () where there is no second truth


class Violation(Enum):
    """What must never happen."""

    TWO_WRITERS = "two writers"
    LOST_WRITE = "lost write"
    RESTORED_ACCEPTED = "restored control accepted a write"
    RESTORE_MISSED = "armed although acknowledged writes were gone"


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much may happen in one exploration; `backups` counts both stores."""

    writes: int = 2
    attempts: int = 2
    rollbacks: int = 1
    crashes: int = 0
    cuts: int = 0
    legacy_restores: int = 0
    control_restores: int = 0
    backups: int = 0
    verify: bool = False
    margin: bool = True


class Spent(NamedTuple):
    """How much has happened."""

    writes: int = 0
    attempts: int = 0
    rollbacks: int = 0
    crashes: int = 0
    cuts: int = 0
    legacy_restores: int = 0
    control_restores: int = 0
    backups: int = 0


_ROW: Final = ControlRow(PhaseNumber.SYNCING, LEGACY, 1, 0, 0, 1)
_FENCE: Final = Fence(Mode.OPEN, 1, 0, 0)


class State(NamedTuple):
    """The whole world at one moment."""

    control: ControlRow = _ROW
    drain: int = 0  # the drain position, beside the row
    canonical: Values = (0, 0)
    forward: int = 0  # position in the legacy log, committed with the canonical values
    outbox: tuple[tuple[int, int], ...] = ()
    fence: Fence = _FENCE
    isolated: int = 0  # a restored legacy system that no client reaches yet
    in_flight: tuple[tuple[int, int], ...] = ()
    legacy: Values = (0, 0)
    log: tuple[tuple[int, int, int], ...] = ()  # key, value, 1 when the reverse applier wrote it
    reverse: int = 0  # position in the outbox, committed with the legacy values
    left: Step = REST
    right: Step = REST
    cut: int = 0
    spent: Spent = Spent()
    truth: Values = (0, 0)  # ghosts from here on
    or_truth: Values = ()  # what the legacy system was restored to, while it owned the data
    true_owner: int = LEGACY
    harmed: int = 0  # the last restore of the control store lost something
    witness: tuple[int, int] = (1, 0)  # epoch, outbox head
    legacy_backup: tuple[Values, int, int, Fence] = ((0, 0), 0, 0, _FENCE)
    control_backup: tuple[ControlRow, int, Values, int, tuple[tuple[int, int], ...]] = (_ROW, 0, (0, 0), 0, ())
    extra: tuple[int, ...] = ()  # what a mutant remembers


Edge = tuple[str, "State | Violation"]
Happening = Callable[["State"], Iterator[Edge]]


def _always(_: State) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Rules:
    """Every decision that a mutant may replace; as it stands, the program's own."""

    effect: Callable[..., tuple[Fence, Answer]] = door.effect
    recognises: Callable[[ControlRow, int], bool] = protocol.recognises
    admits_canonical: Callable[[ControlRow, int], bool] = protocol.admits_canonical
    admits_reverse: Callable[[ControlRow, Fence], bool] = protocol.admits_reverse
    start: Callable[..., ControlRow | Refusal] = protocol.start
    next_step: Callable[[ControlRow], Step] = protocol.next_step
    after: Callable[..., Step] = protocol.after
    commit: Callable[[ControlRow, Step], ControlRow | Refusal] = protocol.commit
    waits_for_open_transactions: bool = True
    takes_position_before_close: bool = False
    reads_watermark_apart: bool = False
    skips_echo: bool = True
    isolates_restored: bool = True
    is_witness_synchronous: bool = True
    captures: Callable[[State], bool] = _always
    happening: Happening | None = None


def violation_in(s: State) -> Violation | None:
    """Tell whether an acknowledged write is missing in the owner's store.

    While nobody is open (R_OPENING, HALT, not armed) one complete copy on either side is enough, and a restore that
    lost something is judged when somebody writes or arms.
    """
    truths = (s.truth, s.or_truth)
    if (s.legacy if s.true_owner == LEGACY else s.canonical) in truths or s.harmed:
        return None
    is_nobody_open = s.control.phase in (PhaseNumber.R_OPENING, PhaseNumber.HALT) or not s.control.armed
    if is_nobody_open and (s.canonical in truths or s.legacy in truths):
        return None
    return Violation.LOST_WRITE
