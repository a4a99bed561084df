"""How far each route of a legacy system is behind: rows that wait, and how long at most. Reads only, and no table."""

from dataclasses import dataclass

from banyan.clock import now
from banyan.departments import Side
from cli.progress import duration
from cutover.journal import read_account
from store.postgres import transaction
from store.reached import find_reached
from sync.assembly import Rig
from sync.waiting import count_waiting, find_look_age


@dataclass(frozen=True, slots=True)
class Lag:
    """How far a route is behind: keys that wait, and how long at most: since all of it was known to be carried.

    Where only looks at every row find changes, those of the last look; `pending` is None where nothing was counted.
    """

    pending: int | None
    seconds: float
    looked_seconds: float | None = None
    """Age of the look that was counted; None where changes are counted as they stand now."""

    def __str__(self) -> str:
        if self.pending is None:
            return f"not counted, last run {duration(self.seconds)} ago"
        seen = "" if self.looked_seconds is None else f" (looked {duration(self.looked_seconds)} ago)"
        return (f"{duration(self.seconds)}, {self.pending} rows" if self.pending else "0 s") + seen


def read_forward_lag(rig: Rig) -> Lag | None:
    """Read how far the new side is behind; None before its first copy, and once it owns all."""
    since = rig.forward().watermark()
    if since is None or all(rig.slices(found.name)[0].owner is Side.CANONICAL for found in rig.closures):
        return None
    waiting = count_waiting(rig, since)
    with transaction(rig.workspace.engine("banyan_steward")) as connection:
        reached = find_reached(connection, rig.source, Side.CANONICAL)
    seconds = 0.0 if waiting == 0 or reached is None else (now() - reached).total_seconds()
    return Lag(waiting, max(0.0, seconds), find_look_age(rig))


def read_lags_back(rig: Rig) -> dict[str, Lag]:
    """Read how far the old side is behind, for each closure that the new side owns."""
    lags: dict[str, Lag] = {}
    for found in rig.closures:
        if rig.slices(found.name)[0].owner is not Side.CANONICAL:
            continue
        queue = rig.reverse(found.name).queue()
        with transaction(rig.workspace.engine("banyan_guard")) as connection:
            flipped = read_account(connection, found.name).find_flipped_at()
            reached = find_reached(connection, rig.source, Side.LEGACY)
            before = find_reached(connection, rig.source, Side.CANONICAL)  # nobody worked on the new side then
        since = max((at for at in (reached, flipped) if at is not None), default=before)
        seconds = 0.0 if not queue or since is None else (now() - since).total_seconds()
        lags[found.name] = Lag(queue, max(0.0, seconds))
    return lags
