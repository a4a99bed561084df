"""Each step in words, and its question: is it done? The answer comes from the world, never from a memory."""

from dataclasses import dataclass
from typing import Final, assert_never
from uuid import UUID

import sqlalchemy as sa

from banyan.clock import new_id
from banyan.departments import Closure, Phase, Side
from banyan.errors import StoreFenced
from banyan.ports import FenceMode
from cutover.plan import Plan, PlannedStep, StepName
from store.canonical import CANONICAL
from store.postgres import transaction
from sync.assembly import Rig

_PROBED: Final = "item"


@dataclass(frozen=True, slots=True)
class Words:
    """A step as people read it."""

    title: str
    done_when: str


def describe(step: PlannedStep, plan: Plan) -> Words:
    """Say what a step does and by what it is known to be done."""
    there = step.to is Side.CANONICAL
    rows = "rows" if there else "records"
    many = f"~{plan.changed_rows} {rows} equal" if plan.changed_rows is not None else f"all changed {rows} equal"
    match step.name:
        case StepName.CLOSE if there:
            return Words("close the old side", "a probe write is refused, 0 transactions open")
        case StepName.CLOSE:
            return Words("close the new side", "one transaction; writers in flight have ended")
        case StepName.DRAIN if there:
            return Words("drain", "position >= the one read after the close")
        case StepName.DRAIN:
            return Words("drain the way back", "the outbox is empty")
        case StepName.VERIFY:
            return Words(f"verify changed {rows}", many)
        case StepName.SEAL:
            return Words("seal", "the old server has acknowledged")
        case StepName.FLIP:
            return Words("flip" if there else "flip back", "one transaction")
        case StepName.OPEN if there:
            return Words("open the new side", "a write is accepted")
        case StepName.OPEN:
            return Words("open the old side", "the old server has acknowledged")
        case StepName.SETTLE:
            return Words("settle", "rows the old system could not say are read again")
        case _:
            assert_never(step.name)


_AFTER: Final[dict[tuple[Side, StepName], frozenset[Phase]]] = {
    (Side.CANONICAL, StepName.DRAIN): frozenset((Phase.VERIFYING, Phase.SEALING, Phase.LIVE)),
    (Side.CANONICAL, StepName.VERIFY): frozenset((Phase.SEALING, Phase.LIVE)),
    (Side.CANONICAL, StepName.FLIP): frozenset((Phase.LIVE,)),
    (Side.LEGACY, StepName.CLOSE): frozenset((Phase.R_DRAINING, Phase.R_VERIFYING, Phase.R_OPENING, Phase.SYNCING)),
    (Side.LEGACY, StepName.DRAIN): frozenset((Phase.R_VERIFYING, Phase.R_OPENING, Phase.SYNCING)),
    (Side.LEGACY, StepName.VERIFY): frozenset((Phase.R_OPENING, Phase.SYNCING)),
    (Side.LEGACY, StepName.FLIP): frozenset((Phase.R_OPENING, Phase.SYNCING)),
}


def is_done(step: PlannedStep, rig: Rig, closure: Closure) -> bool:
    """Ask the world whether a step is done: the slices, the fence of the old side, a probe of the new one."""
    key = (step.to, step.name)
    if key in _AFTER:
        return rig.slices(closure.name)[0].phase in _AFTER[key]
    if step.name is StepName.SETTLE:
        from cutover.settle import find_settleable  # the only step that asks for the list

        return not find_settleable(rig, closure)
    if key == (Side.CANONICAL, StepName.OPEN):
        return probe_new_side(rig, closure)
    fence = rig.fence(closure.name)
    try:
        state = fence.read()
    finally:
        fence.disconnect()
    if key == (Side.LEGACY, StepName.OPEN):
        return state.mode is FenceMode.OPEN
    return state.mode is FenceMode.SEALED if step.name is StepName.SEAL else state.is_shut


class _Undo(Exception):
    """Rolls the probe back."""


def probe_new_side(rig: Rig, closure: Closure) -> bool:
    """Tell whether the new side accepts a write of an application in every slice; the write is rolled back."""
    table = CANONICAL[_PROBED]
    try:
        with transaction(rig.workspace.engine("banyan_app")) as connection:
            for domain in closure.domains:
                row = {
                    "id": UUID(bytes=new_id()),
                    "department_code": closure.department_code,
                    "domain_code": domain,
                    "origin": "TARGET",
                }
                connection.execute(sa.insert(table).values(row))
            raise _Undo
    except _Undo:
        return True
    except StoreFenced:
        return False
