"""Every precondition with the moments it is asked, in the order a person should read the refusals."""

from typing import Final

from cutover.preconditions import (
    armed,
    consumers,
    copied,
    fenced,
    fitted,
    followed,
    leftovers,
    phase,
    positions,
    signed,
    way_back,
    writers,
)
from cutover.preconditions.condition import Moment, Obstacle, Precondition, Scene

_SWITCH: Final = frozenset((Moment.SWITCH,))
_ROLLBACK: Final = frozenset((Moment.ROLLBACK,))
_COMPLETE: Final = frozenset((Moment.COMPLETE,))
_BOTH: Final = _SWITCH | _ROLLBACK

PRECONDITIONS: Final = (
    Precondition(phase.can_switch, _SWITCH, "Is the copy made, and is nobody moving it already?"),
    Precondition(phase.can_go_back, _ROLLBACK, "Is it live in the new system?"),
    Precondition(phase.can_complete, _COMPLETE, "Is it live in the new system?"),
    Precondition(armed.is_armed, _BOTH | _COMPLETE, "Was the new system compared with the old since it started?"),
    Precondition(signed.is_signed, _SWITCH, "Did a steward and a lead sign evidence for a switch, whole and fresh?"),
    Precondition(
        signed.is_signed_for_the_end, _COMPLETE, "Did a steward and a lead sign evidence for the end, whole and fresh?"
    ),
    Precondition(signed.is_about_these_rules, _SWITCH | _COMPLETE, "Is the evidence about the rules of today?"),
    Precondition(followed.every_change_is_found, _SWITCH, "Is every change of every table found?"),
    Precondition(positions.can_name_changes, _SWITCH, "Can every row that changed since the evidence be named?"),
    Precondition(copied.follows_closely, _SWITCH, "Does the copy follow closely enough for a short stop?"),
    Precondition(writers.all_are_declared, _SWITCH, "Is everybody who writes in the old system known by name?"),
    Precondition(leftovers.nothing_is_left, _SWITCH, "Did an earlier attempt leave anything behind?"),
    Precondition(fenced.is_ours, _BOTH | _COMPLETE, "Is the old system the one banyan knows?"),
    Precondition(fenced.is_installed, _BOTH, "Does every table of the old system carry its fence?"),
    Precondition(fenced.is_open, _SWITCH, "Is the old system open now?"),
    Precondition(fenced.is_sealed, _ROLLBACK | _COMPLETE, "Is the old system sealed?"),
    Precondition(fenced.can_be_proved, _SWITCH, "Can an officer write now, so that a later refusal proves the fence?"),
    Precondition(fitted.is_fitted, _BOTH, "Does every table of the new system carry its fence?"),
    Precondition(way_back.was_tried, _SWITCH, "Was the way back tried with one row, just now?"),
    Precondition(way_back.is_short, _ROLLBACK, "Is little left to carry back?"),
    Precondition(way_back.is_walked_to_its_end, _COMPLETE, "Does the old system hold all that people did in the new?"),
    Precondition(consumers.all_have_moved, _COMPLETE, "Has everybody who read the old system moved?"),
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
