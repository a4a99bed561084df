"""The plan of a change of owner, as a value: the same steps for dry run, run, journal and report.

Planning reads and changes nothing. The digest covers what a person agrees to: closure, direction, epoch, evidence,
rules, fenced tables and steps; not what is only expected.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Protocol

from banyan.departments import Closure, Side
from cutover.journal import QUESTIONS_WHEN_CLOSED, PastSwitch
from cutover.preconditions.condition import Obstacle
from cutover.preconditions.outage import fits
from store.slices import SliceRow

BUDGET_SECONDS: Final = 10.0
"""How long nobody may be able to write before a switch is given up by itself."""


class StepName(StrEnum):
    """The steps of a change of owner, as people see them."""

    CLOSE = "close"
    DRAIN = "drain"
    VERIFY = "verify"
    SEAL = "seal"
    FLIP = "flip"
    OPEN = "open"
    SETTLE = "settle"


_STEPS: Final[Mapping[Side, tuple[StepName, ...]]] = {
    Side.CANONICAL: (
        *(StepName.CLOSE, StepName.DRAIN, StepName.VERIFY),
        *(StepName.SEAL, StepName.FLIP, StepName.OPEN),
    ),
    Side.LEGACY: (
        *(StepName.CLOSE, StepName.DRAIN, StepName.VERIFY),
        *(StepName.FLIP, StepName.OPEN, StepName.SETTLE),
    ),
}
# what a small closure took on one machine; replaced by what the last changes of owner of this closure took
_USUAL_MS: Final[Mapping[Side, Mapping[StepName, int]]] = {
    Side.CANONICAL: {
        StepName.CLOSE: 40,
        StepName.DRAIN: 120,
        StepName.VERIFY: 60,
        StepName.SEAL: 5,
        StepName.FLIP: 10,
        StepName.OPEN: 10,
    },
    Side.LEGACY: {
        StepName.CLOSE: 10,
        StepName.DRAIN: 900,
        StepName.VERIFY: 300,
        StepName.FLIP: 10,
        StepName.OPEN: 5,
        StepName.SETTLE: 300,
    },
}
_WHEN_CLOSED: Final = (StepName.CLOSE, StepName.DRAIN, StepName.VERIFY, StepName.SEAL, StepName.FLIP)


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One step of a plan: its number, its name, the side that will own, and how long it is expected to take."""

    number: int
    name: StepName
    to: Side
    expected_ms: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A change of owner of one closure, before it begins."""

    closure: str
    to: Side
    domains: tuple[str, ...]
    epoch: int
    evidence_id: str | None
    rules_digest: str
    fenced_tables: tuple[str, ...]
    shared_tables: tuple[str, ...]
    steps: tuple[PlannedStep, ...]
    changed_rows: int | None
    budget_seconds: float
    link_us: int
    obstacles: tuple[Obstacle, ...]
    remarks: tuple[str, ...] = ()  # what a person should know and what stops nothing

    @property
    def expected_outage_ms(self) -> int:
        """Give how long nobody is expected to be able to write."""
        return sum(step.expected_ms for step in self.steps if step.name in _when_closed(self.to))

    @property
    def is_possible(self) -> bool:
        """Tell whether nothing stands in the way."""
        return not self.obstacles

    @property
    def digest(self) -> str:
        """Give the hash of what a person agrees to."""
        agreed = {
            "closure": self.closure,
            "to": self.to.value,
            "domains": self.domains,
            "epoch": self.epoch,
            "evidence_id": self.evidence_id,
            "rules_digest": self.rules_digest,
            "fenced_tables": self.fenced_tables,
            "steps": [step.name.value for step in self.steps],
        }
        text = json.dumps(agreed, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


class SwitchReader(Protocol):
    """What planning asks of the world."""

    def row(self) -> SliceRow:
        """Read the slice row that stands for the closure."""
        ...

    def evidence_id(self) -> str | None:
        """Find the identity of the evidence that a switch rests on."""
        ...

    def rules_digest(self) -> str:
        """Give the digest of the rules."""
        ...

    def count_changed(self, to: Side) -> int | None:
        """Count the rows to compare inside the fence; None when that cannot be known."""
        ...

    def past(self, to: Side) -> PastSwitch | None:
        """Find what is usual of the last changes of owner to this side."""
        ...

    def link_us(self) -> int:
        """Measure one question to the old system and its answer, in microseconds."""
        ...

    def obstacles(self, to: Side) -> tuple[Obstacle, ...]:
        """Say what stands in the way."""
        ...

    def remarks(self, to: Side) -> tuple[str, ...]:
        """Say what a person should know before, and what stops nothing."""
        ...


def _when_closed(to: Side) -> tuple[StepName, ...]:
    """Give the steps during which nobody can write; the way back ends with the opening of the old side."""
    return (*_WHEN_CLOSED, StepName.OPEN) if to is Side.LEGACY else _WHEN_CLOSED


def expected_outage_ms(to: Side, past: PastSwitch | None, *, link_us: int | None = None) -> int:
    """Give how long nobody is expected to be able to write, from the last times or from what a small closure takes.

    The last times are told as over the present link: each question of the closed time takes as long as it takes now.
    """
    if past is not None:
        return past.over(link_us)
    far = round(QUESTIONS_WHEN_CLOSED * (link_us or 0) / 1000)
    return far + sum(_USUAL_MS[to][name] for name in _when_closed(to) if name in _USUAL_MS[to])


def steps_to(to: Side) -> tuple[StepName, ...]:
    """Give the steps of a change of owner, in order."""
    return _STEPS[to]


def _expect(to: Side, past: PastSwitch | None, outage_ms: int) -> tuple[PlannedStep, ...]:
    """Share what is expected out over the steps during which nobody can write, as they shared it the last times."""
    usual = _USUAL_MS[to]
    took = {name: past.step_ms.get(name.value, usual[name]) if past else usual[name] for name in _STEPS[to]}
    closed = [name for name in _STEPS[to] if name in _when_closed(to)]
    share = outage_ms / max(1, sum(took[name] for name in closed))
    took |= {name: round(took[name] * share) for name in closed}
    longest = max(closed, key=lambda name: took[name])
    took[longest] += outage_ms - sum(took[name] for name in closed)  # what rounding left over
    return tuple(PlannedStep(number, name, to, took[name]) for number, name in enumerate(_STEPS[to], 1))


def plan_switch(closure: Closure, to: Side, reader: SwitchReader, *, budget_seconds: float = BUDGET_SECONDS) -> Plan:
    """Plan moving a closure to a side; reads through the reader and changes nothing."""
    row = reader.row()
    past = reader.past(to)
    link_us = reader.link_us()
    steps = _expect(to, past, expected_outage_ms(to, past, link_us=link_us))
    planned = Plan(
        closure=closure.name,
        to=to,
        domains=closure.domains,
        epoch=row.epoch,
        evidence_id=reader.evidence_id() if to is Side.CANONICAL else row.evidence_id,
        rules_digest=reader.rules_digest(),
        fenced_tables=closure.tables,
        shared_tables=closure.shared_tables,
        steps=steps,
        changed_rows=reader.count_changed(to),
        budget_seconds=budget_seconds,
        link_us=link_us,
        obstacles=reader.obstacles(to),
        remarks=reader.remarks(to),
    )
    too_long = fits(planned.expected_outage_ms, budget_seconds, closure=closure.name)
    return planned if too_long is None else replace(planned, obstacles=(*planned.obstacles, too_long))
