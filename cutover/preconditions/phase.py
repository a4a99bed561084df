"""Is the closure in a phase from which it can move?"""

from banyan.departments import Phase, Side
from cutover.preconditions.condition import Obstacle, Scene

_TOO_EARLY = (Phase.REGISTERED, Phase.ASSESSED, Phase.MAPPED, Phase.LOADING)


def can_switch(scene: Scene) -> Obstacle | None:
    """Refuse a switch of what is not copied yet, is moved already, or is stopped."""
    row = scene.row
    name = row.closure
    if row.phase in (Phase.SYNCING, Phase.READY):
        return None
    if row.phase in _TOO_EARLY:
        sentence = f"the first copy of {name} is not finished ({row.phase.value})"
        return Obstacle("phase", sentence, f"banyan load {row.department_code}")
    if row.phase is Phase.HALT:
        return Obstacle("phase", f"{name} is stopped until two people have decided", f"banyan switch status {name}")
    if row.owner is Side.CANONICAL:
        return Obstacle("phase", f"{name} belongs to the new system already", f"banyan switch status {name}")
    return Obstacle("phase", f"{name} is being moved ({row.phase.value})", f"banyan switch status {name}")


def can_go_back(scene: Scene) -> Obstacle | None:
    """Refuse a rollback of what is not live in the new system, or for which the way back was given up."""
    row = scene.row
    if row.phase is Phase.LIVE:
        return None
    if row.phase in (Phase.COMPLETING, Phase.RETIRED):
        sentence = f"the way back of {row.closure} was given up for good ({row.phase.value})"
    elif row.phase is Phase.HALT:
        sentence = f"{row.closure} is stopped until two people have decided"
    else:
        sentence = f"{row.closure} is not live in the new system ({row.phase.value}, owner {row.owner.value})"
    return Obstacle("phase", sentence, f"banyan switch status {row.closure}")


def can_complete(scene: Scene) -> Obstacle | None:
    """Refuse to give up the way back of what is not live in the new system."""
    row = scene.row
    if row.phase in (Phase.LIVE, Phase.COMPLETING):
        return None
    sentence = f"{row.closure} is not live in the new system ({row.phase.value}, owner {row.owner.value})"
    return Obstacle("phase", sentence, f"banyan switch status {row.closure}")
