"""Every precondition with the moments it is asked, in the order a person should read the refusals."""

from typing import Final

from cutover.preconditions import armed, copied, fenced, fitted, phase, positions, signed, way_back
from cutover.preconditions.condition import Moment, Obstacle, Precondition, Scene

_SWITCH: Final = frozenset((Moment.SWITCH,))
_ROLLBACK: Final = frozenset((Moment.ROLLBACK,))
_BOTH: Final = _SWITCH | _ROLLBACK

PRECONDITIONS: Final = (
    Precondition(phase.can_switch, _SWITCH),
    Precondition(phase.can_go_back, _ROLLBACK),
    Precondition(armed.is_armed, _BOTH),
    Precondition(signed.is_signed, _SWITCH),
    Precondition(signed.is_about_these_rules, _SWITCH),
    Precondition(positions.can_name_changes, _SWITCH),
    Precondition(copied.follows_closely, _SWITCH),
    Precondition(fenced.is_ours, _BOTH),
    Precondition(fenced.is_installed, _BOTH),
    Precondition(fenced.is_open, _SWITCH),
    Precondition(fenced.is_sealed, _ROLLBACK),
    Precondition(fenced.can_be_proved, _SWITCH),
    Precondition(fitted.is_fitted, _BOTH),
    Precondition(way_back.was_tried, _SWITCH),
    Precondition(way_back.is_short, _ROLLBACK),
)


def find_obstacles(scene: Scene, moment: Moment) -> tuple[Obstacle, ...]:
    """Ask every precondition of a moment; a wrong phase alone is said alone, the others would only follow from it."""
    found: list[Obstacle] = []
    for precondition in PRECONDITIONS:
        if moment not in precondition.moments:
            continue
        obstacle = precondition.check(scene)
        if obstacle is None:
            continue
        found.append(obstacle)
        if obstacle.name == "phase":
            break
    return tuple(found)
