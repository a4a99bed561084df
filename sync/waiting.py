"""Reading outside of a run, at the pace of the source; and how much waits there, told without reading a table.

A run waits chunk by chunk. What is read before there is a run (looks at every row, terms of retention, codes) asks
here, piece by piece: a pause, closed hours and limits hold for it as well.
"""

from collections.abc import Callable

import sqlalchemy as sa

from banyan.clock import now
from banyan.records import Origin, Position
from store.key_log import LOG_PLACE
from store.postgres import transaction
from sync.assembly import Rig
from sync.engine import Progress, Watcher

Breath = Callable[[], None]
"""Called before each piece that is read; waits while the source may not be read."""


def hold_breath() -> None:
    """Wait for nothing: who asked is at the keyboard, or nobody works there."""


def breathe(rig: Rig, watcher: Watcher) -> Breath:
    """Give what waits until a source may be read beside its people, and tells the watcher each second why."""
    throttle, route = rig.throttle(), str(rig.forward().route)

    def tell(reason: str) -> None:
        watcher(Progress(0, route, 0, 0, 0, 0.0, reason))

    return lambda: throttle.wait(tell)


def count_waiting(rig: Rig, since: Position) -> int | None:
    """Count the rows that people changed since a Position; None where only reading whole tables would tell.

    Of a source opened `only_told`, those that the last look found: whoever asks every minute reads no table.
    """
    if rig.workspace.source_config(rig.source).capture == "row_version":
        return None
    changed = rig.port.changes(since)
    return sum(one.origin is Origin.PERSON and one.table in rig.book.rulesets for one in changed)


def find_look_age(rig: Rig) -> float | None:
    """Give the seconds since the last look at a source whose changes only looks find; None for any other source."""
    if rig.workspace.source_config(rig.source).capture != "snapshot":
        return None
    at = sa.select(LOG_PLACE.c.updated_at).where(
        LOG_PLACE.c.department_code == rig.source.department_code, LOG_PLACE.c.system_code == rig.source.system_code
    )
    with transaction(rig.workspace.engine("banyan_forward")) as connection:
        looked = connection.scalar(at)
    return None if looked is None else float((now() - looked).total_seconds())
