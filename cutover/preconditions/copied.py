"""Does the copy follow the old system closely enough for a short drain?"""

from banyan.errors import BanyanError
from banyan.records import Origin
from cutover.preconditions.condition import Obstacle, Scene

KEYS_WAITING = 5_000
"""About what is carried within half of the budget on a small machine."""


def follows_closely(scene: Scene) -> Obstacle | None:
    """Refuse while there is no first copy, or too much waits to be carried over."""
    rig = scene.rig
    department = rig.source.department_code
    watermark = rig.forward().watermark()
    if watermark is None:
        return Obstacle("copied", f"the first copy of {rig.source} is not finished", f"banyan load {department}")
    try:
        changes = rig.port.changes(watermark, rig.port.head())
    except BanyanError as error:
        sentence = f"what waits to be carried over cannot be read: {error.message}"
        return Obstacle("copied", sentence, error.hint or f"banyan sync run {department}")
    waiting = sum(change.origin is Origin.PERSON for change in changes)
    if waiting <= KEYS_WAITING:
        return None
    return Obstacle("copied", f"{waiting} changed rows wait to be carried over", f"banyan sync run {department}")
