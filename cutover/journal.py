"""The words that a change of owner writes in the journal beside its transitions, and what is read back from them.

Facts are identifiers, positions and figures; an instant is ISO 8601 in UTC. A transition and its words commit together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy.engine import Connection

from banyan.departments import Actor, Phase, Side
from banyan.records import Position
from store.journal import JournalEntry, append_journal, read_journal
from store.slices import SliceRow

Facts = Mapping[str, str | int | bool | None]


class Word(StrEnum):
    """What an entry tells."""

    STARTED = "STARTED"  # a switch or a rollback begins: direction, digest of its plan
    CLOSED = "CLOSED"  # the side that wrote is closed: fact closed_at
    COMPARED = "COMPARED"  # rows compared inside the fence, and how many differ
    FLIPPED = "FLIPPED"  # evidence, drain position and outbox position of the flip, outage so far
    SWITCHED = "SWITCHED"  # a switch or a rollback is done: outage and time of each step
    GIVEN_UP = "GIVEN_UP"  # an abort or a cancelled rollback, with its reason
    UNCERTAIN = "UNCERTAIN"  # we do not know whether an effect took place
    SETTLED = "SETTLED"  # rows on the list of degraded write-backs were read forward again
    GUARD = "GUARD"  # the watchdog did something


@dataclass(frozen=True, slots=True)
class PastSwitch:
    """A change of owner that was done: to which side, how long nobody could write, and how long each step took."""

    to: Side
    epoch: int
    outage_ms: int
    step_ms: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Flip:
    """Where both sides stood when CANONICAL became the owner."""

    legacy_position: Position
    canonical_position: Position


def note(connection: Connection, word: Word, row: SliceRow, *, actor: Actor, facts: Facts) -> int:
    """Write a word about a closure in the caller's transaction; gives the entry's number."""
    entry = JournalEntry(actor, word.value, row.closure, row.phase, row.phase, row.epoch, facts)
    return append_journal(connection, entry)


@dataclass(frozen=True, slots=True)
class Account:
    """The journal of one closure, in order."""

    entries: Sequence[Mapping[str, object]]

    @property
    def highest_epoch(self) -> int:
        """Give the highest epoch the journal has seen."""
        return max((int(str(entry["epoch"])) for entry in self.entries if entry["epoch"] is not None), default=0)

    def find_closed_at(self) -> datetime | None:
        """Give when the side that wrote was closed for the change of owner in hand, or the last one."""
        found = self._last(Word.CLOSED)
        return datetime.fromisoformat(str(found["closed_at"])) if found else None

    def find_flip(self) -> Flip | None:
        """Give where both sides stood at the last flip."""
        found = self._last(Word.FLIPPED)
        return Flip(Position(str(found["drain_position"])), Position(str(found["outbox_position"]))) if found else None

    def find_past(self, to: Side) -> PastSwitch | None:
        """Give the last change of owner to a side that was done."""
        for entry in reversed(self.entries):
            facts = _facts(entry)
            if entry["kind"] == Word.SWITCHED and facts["to"] == to.value:
                steps = {name.removesuffix("_ms"): int(str(ms)) for name, ms in facts.items() if name.endswith("_ms")}
                outage = steps.pop("outage")
                return PastSwitch(to, int(str(entry["epoch"])), outage, steps)
        return None

    def find_reason(self) -> str:
        """Give why the last attempt was given up, when nothing followed it."""
        for entry in reversed(self.entries):
            if entry["kind"] == Word.GIVEN_UP:
                return str(_facts(entry)["reason"])
            if entry["to_phase"] in (Phase.FENCING.value, Phase.LIVE.value):
                return ""
        return ""

    def _last(self, word: Word) -> Mapping[str, object] | None:
        for entry in reversed(self.entries):
            if entry["kind"] == word:
                return _facts(entry)
        return None


def read_account(connection: Connection, closure: str) -> Account:
    """Read the journal of a closure."""
    return Account(read_journal(connection, closure=closure))


def _facts(entry: Mapping[str, object]) -> Mapping[str, object]:
    facts = entry["facts"]
    return facts if isinstance(facts, Mapping) else {}
