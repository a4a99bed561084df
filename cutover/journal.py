"""The words that a change of owner writes in the journal beside its transitions, and what is read back from them.

Facts are identifiers, positions and figures; an instant is ISO 8601 in UTC. A transition and its words commit together.
"""

import itertools
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.engine import Connection

from banyan.departments import Actor, Phase, Side
from banyan.records import Position
from store.journal import JournalEntry, append_journal
from store.slices import SliceRow
from store.tables import JOURNAL

Facts = Mapping[str, str | int | bool | None]
_NEWEST = 200
QUESTIONS_WHEN_CLOSED: Final = 40
"""About so many questions the old system is asked, one after another, while nobody can write and people were at work:
39 there and 43 on the way back, counted on the wire at XS."""
_USUAL_OF = 5
"""So many changes of owner to one side say what is usual."""


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
    REHEARSED = "REHEARSED"  # a switch and a way back on a copy: edits, losses, outages
    DECIDED = "DECIDED"  # one of two persons decided something that cannot be undone: what, about which state
    RECONCILED = "RECONCILED"  # two persons let a stopped or restored closure go on: kept side, rows written again
    SWITCHED_OFF = "SWITCHED_OFF"  # the way back was given up: outbox position up to which the old system holds all
    PHONED = "PHONED"  # a code that opens the old side was given to a person: token, never the code


@dataclass(frozen=True, slots=True)
class PastSwitch:
    """A change of owner that was done: to which side, how long nobody could write, and how long each step took."""

    to: Side
    epoch: int
    outage_ms: int
    step_ms: Mapping[str, int]
    is_rehearsed: bool = False
    link_us: int | None = None  # one question to the old system and its answer; unknown of old entries

    def over(self, link_us: int | None) -> int:
        """Give how long nobody could have written, in ms, had the old system been as far away as this."""
        if link_us is None or self.link_us is None:
            return self.outage_ms
        return max(1, self.outage_ms + round(QUESTIONS_WHEN_CLOSED * (link_us - self.link_us) / 1000))


@dataclass(frozen=True, slots=True)
class Flip:
    """Where both sides stood when CANONICAL became the owner."""

    legacy_position: Position
    canonical_position: Position


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """A switch and a way back that were tried on a copy of both sides."""

    at: datetime
    outage_ms: int
    back_ms: int
    edits: int
    lost: int


@dataclass(frozen=True, slots=True)
class Decision:
    """One person's decision, and the state it is about."""

    at: datetime
    actor: str
    role: str
    what: str
    about: str


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
        """Give where both sides stood at the last flip; the old side where it was written again whole since.

        A Position of before belongs to a history that the old system may have no more.
        """
        found = self._last(Word.FLIPPED)
        if found is None:
            return None
        legacy = found["drain_position"]
        for entry in self.entries:
            facts = _facts(entry)
            if entry["kind"] == Word.FLIPPED:
                legacy = facts["drain_position"]
            elif entry["kind"] == Word.RECONCILED:
                legacy = facts.get("legacy_position") or legacy
        return Flip(Position(str(legacy)), Position(str(found["outbox_position"])))

    def find_past(self, to: Side) -> PastSwitch | None:
        """Give the last change of owner to a side that was done, or rehearsed on a copy, whichever is younger."""
        return next(self._past(to), None)

    def find_usual(self, to: Side) -> PastSwitch | None:
        """Give what is usual of the last few changes of owner to a side: of each step, and in all, the median.

        What a rehearsal took counts like the others and nothing before it does: it was made to know better.
        """
        past: list[PastSwitch] = []
        for one in itertools.islice(self._past(to), _USUAL_OF):
            past.append(one)
            if one.is_rehearsed:
                break
        if not past:
            return None
        names, link_us = past[0].step_ms, past[0].link_us
        steps = {name: _median([one.step_ms[name] for one in past if name in one.step_ms]) for name in names}
        return replace(past[0], outage_ms=_median([one.over(link_us) for one in past]), step_ms=steps)

    def _past(self, to: Side) -> Iterator[PastSwitch]:
        prefix = "there_" if to is Side.CANONICAL else "back_"
        for entry in reversed(self.entries):
            facts, epoch = _facts(entry), int(str(entry["epoch"] or 0))
            link_us = int(str(facts["link_us"])) if facts.get("link_us") is not None else None
            if entry["kind"] == Word.SWITCHED and facts["to"] == to.value:
                steps = {name.removesuffix("_ms"): int(str(ms)) for name, ms in facts.items() if name.endswith("_ms")}
                outage = steps.pop("outage")
                yield PastSwitch(to, epoch, outage, steps, link_us=link_us)
            if entry["kind"] == Word.REHEARSED:
                steps = {n.removeprefix(prefix): int(str(ms)) for n, ms in facts.items() if n.startswith(prefix)}
                outage = int(str(facts["outage_ms" if to is Side.CANONICAL else "back_ms"]))
                steps = {name: ms for name, ms in steps.items() if name != "ms"}
                yield PastSwitch(to, epoch, outage, steps, is_rehearsed=True, link_us=link_us)

    def find_flipped_at(self) -> datetime | None:
        """Give when CANONICAL last became the owner."""
        return next((_at(entry) for entry in reversed(self.entries) if entry["kind"] == Word.FLIPPED), None)

    def last_move(self) -> tuple[str, str] | None:
        """Give the phases of the last transition: from, to."""
        for entry in reversed(self.entries):
            if entry["kind"] == "TRANSITION":
                return str(entry["from_phase"]), str(entry["to_phase"])
        return None

    def find_rehearsal(self) -> Rehearsal | None:
        """Give the last rehearsal."""
        for entry in reversed(self.entries):
            if entry["kind"] == Word.REHEARSED:
                facts = _facts(entry)
                figures = [int(str(facts[name])) for name in ("outage_ms", "back_ms", "edits", "lost")]
                return Rehearsal(_at(entry), *figures)
        return None

    def find_decisions(self) -> tuple[Decision, ...]:
        """Give what persons decided since the closure last moved."""
        found: list[Decision] = []
        for entry in reversed(self.entries):
            if entry["kind"] == "TRANSITION":
                break
            if entry["kind"] == Word.DECIDED:
                facts = _facts(entry)
                actor, role = str(entry["actor"]), str(entry["role"])
                found.append(Decision(_at(entry), actor, role, str(facts["what"]), str(facts["about"])))
        return tuple(found)

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
    """Read what counts of the journal of a closure: the newest entry of each kind, and the newest of all."""
    kinds = (JOURNAL.c.kind, JOURNAL.c.to_phase, JOURNAL.c.facts["to"].as_string())
    mine = sa.select(JOURNAL).where(JOURNAL.c.closure == closure)
    queries = (
        mine.ext(distinct_on(*kinds)).order_by(*kinds, JOURNAL.c.sequence.desc()),
        mine.order_by(JOURNAL.c.sequence.desc()).limit(_NEWEST),
    )
    found = {row["sequence"]: dict(row) for query in queries for row in connection.execute(query).mappings()}
    return Account([found[number] for number in sorted(found)])


def _median(values: Sequence[int]) -> int:
    return round(statistics.median(values))


def _at(entry: Mapping[str, object]) -> datetime:
    at = entry["at"]
    assert isinstance(at, datetime)
    return at


def _facts(entry: Mapping[str, object]) -> Mapping[str, object]:
    facts = entry["facts"]
    return facts if isinstance(facts, Mapping) else {}
