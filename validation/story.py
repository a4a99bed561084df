"""What happened to the closure, told beside the evidence: who owns it, whether it can go back, how the switch went."""

from dataclasses import dataclass
from datetime import datetime

from banyan.departments import Phase, Side
from validation.text import Text


@dataclass(frozen=True, slots=True)
class WayBack:
    """The permanent gauge: can we go back, until when, how long does it take, what blocks it."""

    is_open: bool
    until: datetime | None = None
    seconds: int | None = None
    rehearsed_at: datetime | None = None
    blocked_by: tuple[Text, ...] = ()


@dataclass(frozen=True, slots=True)
class Switched:
    """The first switch: how long nobody could write, and how many late writes the legacy system refused."""

    outage_ms: int
    refused_legacy_writes: int
    expected_outage_ms: int | None = None


@dataclass(frozen=True, slots=True)
class WentBack:
    """The rollback: edits found again in the legacy system, and rows nobody touched that are still byte-identical."""

    edits: int
    lost: int
    untouched_rows: int
    untouched_identical: int
    outage_ms: int | None = None


@dataclass(frozen=True, slots=True)
class WentAgain:
    """The second switch."""

    duplicates: int
    lost: int
    outage_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Story:
    """The state of the closure when the page is printed, and its switches so far."""

    phase: Phase
    owner: Side
    way_back: WayBack
    switched: Switched | None = None
    edits: int | None = None
    went_back: WentBack | None = None
    went_again: WentAgain | None = None
    other_page: str = ""
