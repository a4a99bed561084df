"""What a precondition is: a question about the scene, asked at declared moments; a refusal is a sentence and a command.

A sentence is for an officer: what is not as it must be, without the words of a database.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from banyan.departments import Closure
from banyan.ports import FenceState
from cutover.proof import Proof
from store.judgements import EvidenceEntry
from store.slices import SliceRow
from sync.assembly import Rig


class Moment(StrEnum):
    """When a precondition is asked."""

    SWITCH = "switch"  # by the plan, and again right before the old side is closed
    ROLLBACK = "rollback"  # by the plan, and again right before the new side is closed
    COMPLETE = "complete"  # when the first of two persons gives the way back up, and again for the second


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What stands in the way, and what to do next."""

    name: str
    sentence: str
    next_command: str


@dataclass(frozen=True, slots=True)
class Scene:
    """What preconditions look at, read once."""

    rig: Rig = field(repr=False)
    closure: Closure
    row: SliceRow
    fence: FenceState
    evidence: EvidenceEntry | None
    proof: Proof | None  # the same verified, when the moment rests on evidence


Check = Callable[[Scene], Obstacle | None]


@dataclass(frozen=True, slots=True)
class Precondition:
    """A check, the moments it is asked, and its question as a person asks it."""

    check: Check
    moments: frozenset[Moment]
    question: str
