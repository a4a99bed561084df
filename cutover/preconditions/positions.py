"""Can the rows that changed since the evidence be named?"""

from banyan.errors import BanyanError
from cutover.preconditions.condition import Obstacle, Scene


def can_name_changes(scene: Scene) -> Obstacle | None:
    """Refuse evidence whose place in the history of the old system is not known there any more."""
    evidence = scene.evidence
    if evidence is None:
        return None
    again = f"banyan validate run {scene.closure.name}"
    if not evidence.legacy_position:
        return Obstacle("positions", "the evidence does not say up to when the old system was read", again)
    try:
        scene.rig.port.changes(evidence.legacy_position, scene.rig.port.head())
    except BanyanError as error:
        return Obstacle("positions", f"what changed since the evidence cannot be read: {error.message}", again)
    return None
