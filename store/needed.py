"""Up to where the changes of a legacy system may be forgotten: behind everything that anyone may still ask about.

Positions are opaque and are not compared: what is compared is when. Whoever holds a Position took it at some instant;
a run that had ended before that instant had come to an earlier one.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from banyan.departments import Phase, Side, SourceRef
from banyan.records import Position
from store.row_tables import JUDGED
from store.slices import SliceRow
from store.tables import EVIDENCE, JOURNAL, RUN

KEPT: Final = timedelta(days=2)
"""How long a Position may be held by who has not written down yet that he holds it: a judgement under way."""
_AT_REST: Final = frozenset((Phase.SYNCING, Phase.READY, Phase.RETIRED))


def find_forgettable(connection: Connection, source: SourceRef, slices: Sequence[SliceRow]) -> Position | None:
    """Find a Position behind which nobody reads: none while a switch is in flight, or a closure is being loaded.

    Kept is what is younger than a run that is open, than the last judgement and the last evidence of each closure that
    has not expired, and, where CANONICAL owns, than the closing of the fence: the way back compares what changed since.
    """
    since = [_closed_at(connection, row.closure) for row in slices if row.phase not in _AT_REST]
    if None in since or any(row.phase is not Phase.LIVE for row in slices if row.phase not in _AT_REST):
        return None
    closures = sorted({row.closure for row in slices})
    asked = (
        sa.select(sa.func.clock_timestamp()),
        sa.select(sa.func.min(RUN.c.opened_at)).where(*_of(source), RUN.c.state == "OPEN"),
        sa.select(sa.func.min(JUDGED.c.judged_at)).where(JUDGED.c.closure.in_(closures)),
        sa.select(sa.func.min(_last_evidence(closures).c.made_at)),
    )
    instants = [*since, *(connection.scalar(query) for query in asked)]
    oldest = min(instant for instant in instants if instant is not None)
    behind = (
        sa.select(RUN.c.until_position)
        .where(
            *_of(source),
            RUN.c.to_side == Side.CANONICAL.value,
            RUN.c.state == "DONE",
            RUN.c.until_position.is_not(None),
            RUN.c.closed_at < oldest - KEPT,
        )
        .order_by(RUN.c.run_no.desc())
        .limit(1)
    )
    found: str | None = connection.scalar(behind)
    return None if found is None else Position(found)


def _closed_at(connection: Connection, closure: str) -> datetime | None:
    """Give when the fence of a closure began to close for the last time."""
    closing = (JOURNAL.c.closure == closure, JOURNAL.c.to_phase == Phase.FENCING.value)
    found: datetime | None = connection.scalar(sa.select(sa.func.max(JOURNAL.c.at)).where(*closing))
    return found


def _last_evidence(closures: Sequence[str]) -> sa.Subquery:
    """Give when the last evidence of each closure and profile was made, as long as it has not expired."""
    stands = sa.or_(EVIDENCE.c.expires_at.is_(None), EVIDENCE.c.expires_at > sa.func.clock_timestamp())
    return (
        sa.select(sa.func.max(EVIDENCE.c.made_at).label("made_at"))
        .where(EVIDENCE.c.closure.in_(closures), EVIDENCE.c.legacy_position.is_not(None), stands)
        .group_by(EVIDENCE.c.closure, EVIDENCE.c.profile)
        .subquery()
    )


def _of(source: SourceRef) -> tuple[sa.ColumnElement[bool], ...]:
    return (RUN.c.department_code == source.department_code, RUN.c.system_code == source.system_code)
