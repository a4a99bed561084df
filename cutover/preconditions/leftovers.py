"""Did an earlier attempt leave anything behind?"""

import sqlalchemy as sa

from cutover.preconditions.condition import Obstacle, Scene
from cutover.settle import find_settleable
from store.postgres import transaction
from store.runs import RunState
from store.tables import RUN


def nothing_is_left(scene: Scene) -> Obstacle | None:
    """Refuse while a run that ended badly is still open, or rows of an earlier way back wait to be read again."""
    rig, code = scene.rig, scene.row.department_code
    with transaction(rig.workspace.engine("banyan_guard")) as connection:
        left = connection.execute(
            sa.select(RUN.c.run_no, RUN.c.kind).where(
                RUN.c.department_code == code,
                RUN.c.system_code == rig.source.system_code,
                RUN.c.state == RunState.OPEN.value,
                RUN.c.lease_until < sa.func.clock_timestamp(),
            )
        ).first()
    if left is not None:
        sentence = f"run {left.run_no} ({left.kind}) of an earlier attempt was never finished"
        return Obstacle("leftovers", sentence, f"banyan sync run {code}")
    waiting = len(find_settleable(rig, scene.closure))
    if waiting:
        sentence = f"{waiting} values of an earlier way back still wait to be read from the old system again"
        return Obstacle("leftovers", sentence, "banyan guard --once")
    return None
