"""Has the store been compared with the world since it started?"""

from cutover.preconditions.condition import Obstacle, Scene


def is_armed(scene: Scene) -> Obstacle | None:
    """Refuse while the guard has not armed the store since its last start."""
    if scene.row.is_armed:
        return None
    sentence = "the new system's database has restarted and was not yet compared with the old system"
    return Obstacle("armed", sentence, "banyan guard --once")
