"""What a page tells beside the evidence: owner, phase, whether the way back is open; and announcements on stderr."""

import sys
from typing import TYPE_CHECKING

from banyan.departments import Side
from cli.tables import visible

if TYPE_CHECKING:
    from sync.assembly import Rig
    from validation.story import Story


# why the way back is not open, as the gauge says it, and in French
_SAID = (
    ("the old system is not sealed", "la barrière de l’ancien système n’est pas scellée"),
    ("the old system is not the one banyan knows", "l’ancien système n’est pas celui que banyan connaît"),
    ("the way back was given up for good", "la voie de retour a été abandonnée définitivement"),
    ("it is stopped until two people have decided", "arrêté jusqu’à la décision de deux personnes"),
    (
        "the new system has restarted and was not yet compared with the old one",
        "le nouveau système a redémarré et n’a pas encore été comparé à l’ancien",
    ),
)


def announce_on_stderr(what: str) -> None:
    """Say what begins, on standard error."""
    sys.stderr.write(f"  … {visible(what)}\n")
    sys.stderr.flush()


def story_of(rig: "Rig", name: str) -> "Story":
    """Tell the present state of a closure: phase, owner, and whether it can go back."""
    from cutover.gauge import find_alarm, read_way_back
    from validation.story import Story, WayBack
    from validation.text import Text

    said = {english: Text(french, english) for english, french in _SAID}
    found = rig.closure(name)
    gauge = read_way_back(rig, found)
    row = rig.slices(name)[0]
    blocked = [said.get(block, Text.same(block)) for block in gauge.blocked_by]
    alarm = find_alarm(gauge)
    if alarm:
        waiting = gauge.waiting
        french = f"la voie de retour est arrêtée\u202f: {waiting} fiches attendent d’y être portées"
        blocked.append(Text(french, alarm))
    return Story(
        phase=row.phase,
        owner=row.owner,
        way_back=WayBack(
            is_open=gauge.is_possible and not blocked,
            until=gauge.until,
            seconds=gauge.estimated_seconds if row.owner is Side.CANONICAL else None,
            rehearsed_at=gauge.rehearsal.at if gauge.rehearsal else None,
            blocked_by=tuple(blocked),
        ),
    )
