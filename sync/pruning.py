"""What a capture wrote down and everybody has read is forgotten, in the old system too: no journal grows for ever.

Done after a run has been closed, with its watermark committed. Whoever dies before has forgotten nothing too early: the
next run does it.
"""

from banyan.errors import SourceDrifted, SourceUnavailable
from connectors.database import DatabasePort
from connectors.one_way import OneWayPort
from store.needed import find_forgettable
from store.postgres import transaction
from sync.assembly import Rig


def prune_capture(rig: Rig) -> int:
    """Forget the changes of a legacy system that nobody can ask about any more; gives how many entries.

    A system that cannot be reached, or whose history is another one than that of the runs, keeps what it has.
    """
    if not isinstance(rig.port, DatabasePort | OneWayPort):
        return 0
    slices = [row for found in rig.closures for row in rig.slices(found.name)]
    with transaction(rig.workspace.engine("banyan_guard")) as connection:
        before = find_forgettable(connection, rig.source, slices)
    if before is None:
        return 0
    try:
        return rig.port.prune(before)
    except (SourceUnavailable, SourceDrifted):  # the run is done all the same; the next one forgets, or refuses loudly
        return 0
