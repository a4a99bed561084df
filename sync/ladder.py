"""A source that is followed in another way than before: a department that grants more rights months after its copy.

The new capture is installed first, its Position is taken, and then every row is read once more, gone ones too: what
changed since the old way last looked is found by that reading, what changes after the Position by the new way. Only
then does the Position move. Whoever dies on the way left the old one standing, and the next `load` begins again.
"""

from banyan.departments import Side
from store.gaps import close_gaps, find_gaps
from store.ledger import LedgerReader
from store.postgres import transaction
from sync.assembly import Rig
from sync.engine import RunResult, Watcher, watch_nothing
from sync.sweeping import carry_all, find_all_keys, follow_from, take_start
from sync.waiting import breathe
from sync.ways import find_left_way


def change_way(rig: Rig, *, watcher: Watcher = watch_nothing) -> RunResult | None:
    """Read every row once more and follow the source in the way that the project says; the capture must stand.

    None when it is followed so already. A run that was left open is carried to its end first.
    """
    if find_left_way(rig) is None:
        return None
    lane = rig.forward(is_any_way=True)
    engine = rig.forward_engine(watcher=watcher, throttle=rig.throttle())
    tables = tuple(table for found in rig.closures for table in found.tables)
    with transaction(rig.workspace.engine("banyan_forward")) as connection:
        is_open = LedgerReader(connection).find_open_run(rig.source, Side.CANONICAL) is not None
        gaps = find_gaps(connection, rig.source)
    if is_open:
        engine.advance(lane)
    before_each = breathe(rig, watcher)
    before_each()
    start = take_start(rig)
    done = carry_all(rig, engine, find_all_keys(rig, tables, before_each=before_each), before_each=before_each)
    follow_from(rig, start)
    with transaction(rig.workspace.engine("banyan_forward")) as connection:
        close_gaps(connection, rig.source, gaps)
    return done
