"""What a commander's pack says beside the evidence: the decision asked, the way back, reservations, who checked.

Written once as `pack.json`, so that the two pages can be made again from it and the evidence, offline, by anyone.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from banyan.departments import Phase, Side
from validation.sign_off import Signer, SignOff
from validation.text import Text

FORMAT = "banyan-pack/1"
REHEARSED_WITHIN = timedelta(days=14)
"""A rehearsal older than this promises nothing any more."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """What somebody knows is not perfect: who answers for it, and by when (ISO 8601 day)."""

    text: Text
    owner: str
    due: str


@dataclass(frozen=True, slots=True)
class Checker:
    """A person who checked something, and what."""

    name: str
    role: str
    what: Text


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """The last rehearsal of the way back: when, how long, how many edits were made in the new system, how many lost."""

    at: datetime
    back_ms: int
    edits: int
    lost: int


@dataclass(frozen=True, slots=True)
class Promise:
    """The way back as it is promised: for how many days, how long it takes, and what was rehearsed."""

    days: int
    is_open: bool
    until: datetime | None = None
    seconds: int | None = None
    rehearsed: Rehearsed | None = None
    blocked_by: tuple[Text, ...] = ()

    def is_proved(self, at: datetime) -> bool:
        """Tell whether a rehearsal without loss, young enough, stands behind the promise."""
        past = self.rehearsed
        return past is not None and not past.lost and past.edits > 0 and at - past.at <= REHEARSED_WITHIN


@dataclass(frozen=True, slots=True)
class Declared:
    """What people wrote in the file of the pack; nothing of it is measured."""

    number: str = ""
    decision: Text | None = None
    changes: tuple[Text, ...] = ()
    keeps: tuple[Text, ...] = ()
    morning: tuple[Text, ...] = ()
    reservations: tuple[Reservation, ...] = ()
    unknown: tuple[Text, ...] = ()
    checked: tuple[Checker, ...] = ()
    decides: tuple[str, ...] = ()
    signs: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Briefing:
    """Everything a pack says beside its evidence, at the instant it was built; `declared` is None without a file."""

    format: str
    evidence_id: str
    built_at: datetime
    phase: Phase
    owner: Side
    promise: Promise
    most_outage_ms: int
    expected_outage_ms: int | None = None
    opens_at: datetime | None = None
    closes_at: datetime | None = None
    declared: Declared | None = None
    sign_offs: tuple[SignOff, ...] = ()
    signers: tuple[Signer, ...] = ()
