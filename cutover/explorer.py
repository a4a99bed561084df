"""Every order of events in a small world, breadth first, so that a trace that breaks the protocol is a shortest one."""

import gc
from collections import deque
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from cutover.door import Mode
from cutover.events import World
from cutover.protocol import PhaseNumber
from cutover.world import Bounds, Rules, State, Violation, violation_in


@dataclass(frozen=True, slots=True)
class Base:
    """Bounds within which the program's own rules must hold; the fast ones belong to every test run."""

    name: str
    bounds: Bounds
    is_fast: bool = False

    def is_proved_by(self, found: "Exploration") -> bool:
        """Tell whether nothing broke and the exploration was not empty: LIVE, the way back, HALT where due."""
        reaches_halt = found.has_reached(PhaseNumber.HALT) or not self.bounds.control_restores
        reaches_both = found.has_reached(PhaseNumber.LIVE) and found.has_reached(PhaseNumber.SYNCING, rolled_back=True)
        return found.violation is None and reaches_both and reaches_halt


BASES: Final = (
    Base("one write, cut and death", Bounds(writes=1, crashes=1, cuts=1), is_fast=True),
    Base("two writes, compared", Bounds(verify=True), is_fast=True),
    Base("legacy restored", Bounds(writes=1, attempts=1, legacy_restores=1, backups=1), is_fast=True),
    Base("control restored", Bounds(writes=1, attempts=1, control_restores=1, backups=1), is_fast=True),
    Base("two writes and death", Bounds(crashes=1)),
    Base("two writes, cut and death", Bounds(crashes=1, cuts=1, verify=True)),
    Base("the same, no margin, not compared", Bounds(crashes=1, cuts=1, margin=False)),
    Base("legacy restored, two writes", Bounds(attempts=1, legacy_restores=1, backups=1)),
    Base("legacy restored to its first day, cut", Bounds(attempts=1, legacy_restores=1, cuts=1)),
    Base("control restored, two writes, cut", Bounds(attempts=1, control_restores=1, backups=1, cuts=1)),
    Base(
        "both restored, cut",
        Bounds(writes=1, attempts=1, legacy_restores=1, control_restores=1, backups=1, cuts=1),
    ),
)
"""LIVE and a completed way back to SYNCING are reached within each of them, HALT where control is restored."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of a trace: what happened, and how the world looks afterwards."""

    number: int
    what: str
    after: State


@dataclass(frozen=True, slots=True)
class Exploration:
    """What an exploration found; `trace` is a shortest one, empty when everything holds."""

    bounds: Bounds
    states: int
    violation: Violation | None
    trace: tuple[Moment, ...]
    reached: frozenset[tuple[int, bool]]  # phase, and whether a rollback had been ordered

    def has_reached(self, phase: PhaseNumber, *, rolled_back: bool = False) -> bool:
        """Tell whether some state was in this phase, before or after a rollback was ordered."""
        return (phase, rolled_back) in self.reached


def explore(bounds: Bounds, rules: Rules | None = None) -> Exploration:
    """Visit every state within the bounds, or stop at the first violation with a shortest trace."""
    world = World(bounds, rules or Rules())
    was_collecting = gc.isenabled()
    gc.disable()  # millions of small tuples, no circle among them
    try:
        return _explore(world)
    finally:
        if was_collecting:
            gc.enable()


def _explore(world: World) -> Exploration:
    first = State()
    parents: dict[State, State | None] = {first: None}
    queue = deque((first,))
    reached: set[tuple[int, bool]] = set()
    found: Violation | None
    after: State | Violation
    while queue:
        s = queue.popleft()
        reached.add((s.control.phase, s.spent.rollbacks > 0))
        for _, raw in world.events(s):
            if isinstance(raw, Violation):
                found, after = raw, raw
            else:
                after = world.settle(s, raw)
                known = len(parents)
                parents.setdefault(after, s)  # one look for both questions: is it new, and where from
                if len(parents) == known:
                    continue
                queue.append(after)
                found = violation_in(after)
            if found:
                trace = _trace(world, parents, s, after)
                return Exploration(world.bounds, len(parents), found, trace, frozenset(reached))
    return Exploration(world.bounds, len(parents), None, (), frozenset(reached))


def _trace(world: World, parents: dict[State, State | None], last: State, end: State | Violation) -> tuple[Moment, ...]:
    path: list[State | Violation] = [end]
    at: State | None = last
    while at is not None:
        path.append(at)
        at = parents[at]
    path.reverse()
    names = {"left": "A", "right": "B"}
    moments: list[Moment] = []
    for before, after in pairwise(path):
        assert isinstance(before, State)
        label, raw = next(
            (text, n)
            for text, n in world.events(before)
            if n is after or (isinstance(n, State) and world.settle(before, n) == after)
        )
        who, _, rest = label.partition(" ")
        what = f"{names[who]} {rest}" if who in names else label
        moments.append(Moment(len(moments) + 1, what, raw if isinstance(raw, State) else before))
        if isinstance(raw, State) and raw.left > raw.right:
            names = {"left": names["right"], "right": names["left"]}
    return tuple(moments)


def find_stuck(bounds: Bounds, *, without: tuple[str, ...] = ()) -> frozenset[str]:
    """Give the phases with the mode of the legacy fence from which nobody will ever write again.

    `without` names events that are assumed never to happen. HALT counts as an end: it is announced, people decide.
    """
    world = World(bounds, Rules())
    first = State()
    before: dict[State, list[State]] = {first: []}
    queue = deque((first,))
    while queue:
        s = queue.popleft()
        for label, after in world.events(s):
            assert isinstance(after, State)
            settled = world.settle(s, after)
            if settled not in before:
                before[settled] = []
                queue.append(settled)
            if label not in without:
                before[settled].append(s)
    queue = deque(s for s in before if world.is_somebody_served(s) or s.control.phase == PhaseNumber.HALT)
    served = set(queue)
    while queue:
        for s in before[queue.popleft()]:
            if s not in served:
                served.add(s)
                queue.append(s)
    stuck = (s for s in before if s not in served)
    return frozenset(f"{PhaseNumber(s.control.phase).name} {Mode(s.fence.mode).name}" for s in stuck)
