"""Does anybody still read the old system?"""

from cutover.declared import ROLLOUT_FILE, read_declarations
from cutover.preconditions.condition import Obstacle, Scene


def all_have_moved(scene: Scene) -> Obstacle | None:
    """Refuse to give the way back up while a declared consumer still reads the old system."""
    declared = read_declarations(scene.rig.workspace.project.folder)
    left = [
        f"{consumer.name} ({consumer.owner})"
        for consumer in declared.consumers_of(scene.rig.source, scene.closure.tables)
        if consumer.moved is None
    ]
    if not left:
        return None
    sentence = f"{len(left)} still read the old system: {', '.join(left)}"
    return Obstacle("consumers", sentence, f"move them, then write the day under `moved` in {ROLLOUT_FILE}")
