"""Is every change of every table found? A table that no log or journal follows would be silent, not late."""

from cutover.preconditions.condition import Obstacle, Scene
from sync.captures import find_unfollowed


def every_change_is_found(scene: Scene) -> Obstacle | None:
    """Refuse while the way of capture does not find the changes of a table of the closure."""
    rig = scene.rig
    config = rig.workspace.source_config(rig.source)
    loose = find_unfollowed(rig.port, config, scene.closure.tables)
    if not loose:
        return None
    sentence = f"changes of {', '.join(loose)} are not found by capture: {config.capture}; capture: snapshot finds them"
    return Obstacle("followed", sentence, f"banyan source capabilities {rig.source}")
