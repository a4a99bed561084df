"""Does every table of the new side carry its fence?"""

import sqlalchemy as sa

from cutover.preconditions.condition import Obstacle, Scene
from store.postgres import transaction

_UNFITTED = sa.text("select count(*) from mig.unfitted")


def is_fitted(scene: Scene) -> Obstacle | None:
    """Refuse while a canonical table or partition has no trigger, or a disabled one."""
    with transaction(scene.rig.workspace.engine("banyan_guard")) as connection:
        missing = int(connection.scalar(_UNFITTED) or 0)
    if not missing:
        return None
    return Obstacle("fitted", f"the fence of the new side is missing in {missing} places", "banyan doctor")
