"""The gauge of the way back: can we go back, until when, how long does it take, what stands in the way.

Read from the store, the journal and the old side; changes nothing. A way back that nobody walks any more is an alarm.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Final

import sqlalchemy as sa

from banyan.clock import now
from banyan.departments import Closure, Phase, Side
from banyan.errors import BanyanError
from banyan.ports import FenceMode
from cutover.declared import read_declarations
from cutover.journal import Rehearsal, read_account
from cutover.plan import expected_outage_ms
from mappings.outcomes import REFUSED
from store.postgres import transaction
from store.reached import find_reached
from store.row_tables import DEGRADED_WRITE_BACK
from store.runs import RunKind, RunState
from store.slices import SliceRow, read_closure
from store.tables import RUN
from sync.assembly import Rig

LATE: Final = timedelta(minutes=15)
"""Records that wait longer than this without any run are a way back that nobody walks."""
REHEARSED_WITHIN: Final = timedelta(days=14)
_RECORD_SECONDS: Final = 0.002  # to carry one record back, measured on a small machine


@dataclass(frozen=True, slots=True)
class WayBackGauge:
    """Whether a closure can go back to the old system, as it stands now."""

    closure: str
    phase: Phase
    is_possible: bool
    waiting: int  # records that people changed and the old system does not hold yet
    listed: int  # values the old system cannot say: they are on the list of degraded write-backs
    lag_seconds: float  # at most: since all was known to be carried back
    is_stuck: bool  # the last run of the way back has not ended and nobody holds it
    estimated_seconds: int  # rounded up: going back always takes a moment
    until: datetime | None
    rehearsal: Rehearsal | None
    blocked_by: tuple[str, ...]
    refused: int = 0  # of those listed: rows that the old system refuses, whatever is sent

    @property
    def blocking(self) -> int:
        """Give how many records cannot be carried back as things stand."""
        return self.waiting if self.is_stuck or self.blocked_by else 0


def read_way_back(rig: Rig, closure: Closure) -> WayBackGauge:
    """Read the gauge of a closure."""
    with transaction(rig.workspace.engine("banyan_guard")) as connection:
        row = read_closure(connection, closure.name)[0]
        account = read_account(connection, closure.name)
    refusals = sa.func.count(DEGRADED_WRITE_BACK.c.main_id.distinct()).filter(DEGRADED_WRITE_BACK.c.kind == REFUSED)
    with transaction(rig.workspace.engine("banyan_reverse")) as connection:
        listed, refused = connection.execute(
            sa.select(sa.func.count(), refusals).where(
                DEGRADED_WRITE_BACK.c.department_code == closure.department_code,
                DEGRADED_WRITE_BACK.c.source_table_no.in_([rig.table_numbers[table] for table in closure.tables]),
                DEGRADED_WRITE_BACK.c.state == "OPEN",
            )
        ).one()
    blocked = list(_find_blocks(rig, row))
    waiting = 0
    if row.phase in (Phase.LIVE, Phase.R_DRAINING, Phase.R_VERIFYING):
        try:
            waiting = rig.reverse(closure.name).queue()
        except BanyanError as error:
            blocked.append(f"what waits to be carried back cannot be read: {error.message}")
    reached, is_stuck = _last_look(rig)
    flipped = account.find_flipped_at()
    since = max((at for at in (reached, flipped) if at is not None), default=None)
    past = account.find_usual(Side.LEGACY)
    days = read_declarations(rig.workspace.project.folder).way_back_days
    return WayBackGauge(
        closure=closure.name,
        phase=row.phase,
        is_possible=row.phase is Phase.LIVE and not blocked,
        waiting=waiting,
        listed=listed,
        lag_seconds=(now() - since).total_seconds() if waiting and since else 0.0,
        is_stuck=is_stuck and waiting > 0,
        estimated_seconds=ceil(expected_outage_ms(Side.LEGACY, past) / 1000 + waiting * _RECORD_SECONDS),
        until=flipped + timedelta(days=days) if flipped and row.owner is Side.CANONICAL else None,
        rehearsal=account.find_rehearsal(),
        blocked_by=tuple(blocked),
        refused=refused,
    )


def find_alarm(gauge: WayBackGauge) -> str:
    """Say that the way back is dead, or that rows are refused there, or nothing.

    An alarm is never silent, and never about a way nobody needs.
    """
    if gauge.phase is not Phase.LIVE:
        return ""
    if gauge.is_stuck:
        return f"the way back is stuck: {gauge.waiting} records wait and the last run was never finished"
    if gauge.lag_seconds > LATE.total_seconds():
        return f"the way back is dead: {gauge.waiting} records wait since {gauge.lag_seconds / 60:.0f} min"
    if gauge.refused:
        return f"the old system refuses {gauge.refused} rows: they are listed and out of date there, the others go on"
    return ""


def say_gauge(gauge: WayBackGauge) -> str:
    """Say the gauge in one line, as a screen and a report show it."""
    if gauge.phase is not Phase.LIVE:
        return "-"
    if not gauge.is_possible:
        return f"NO: {gauge.blocked_by[0]}"
    until = f", until {gauge.until:%Y-%m-%d}" if gauge.until else ""
    minutes = max(1, round(gauge.estimated_seconds / 60))
    return f"yes{until}, about {minutes} min; {gauge.waiting} records wait, {gauge.listed} values listed"


def say_rehearsal(gauge: WayBackGauge) -> str:
    """Say when going there and back was last rehearsed."""
    found = gauge.rehearsal
    if found is None:
        return "never rehearsed"
    days = (now() - found.at).days
    late = "" if now() - found.at <= REHEARSED_WITHIN else ", too long ago"
    return f"rehearsed {days} days ago{late}: {found.edits} edits, {found.lost} lost, {found.back_ms} ms back"


def _find_blocks(rig: Rig, row: SliceRow) -> list[str]:
    if row.owner is not Side.CANONICAL:
        return []
    if row.phase in (Phase.COMPLETING, Phase.RETIRED):
        return ["the way back was given up for good"]
    if row.phase is Phase.HALT:
        return ["it is stopped until two people have decided"]
    found = []
    if not row.is_armed:
        found.append("the new system has restarted and was not yet compared with the old one")
    fence = rig.fence(row.closure)
    try:
        state = fence.read()
    except BanyanError as error:
        return [*found, f"the old system does not answer: {error.message}"]
    finally:
        fence.disconnect()
    if state.nonce != row.nonce:
        found.append("the old system is not the one banyan knows")
    elif state.mode is not FenceMode.SEALED:
        found.append("the old system is not sealed")
    return found


def _last_look(rig: Rig) -> tuple[datetime | None, bool]:
    """Give until when all was carried back, and whether a run of the way back is left open that nobody holds."""
    with transaction(rig.workspace.engine("banyan_guard")) as connection:
        reached = find_reached(connection, rig.source, Side.LEGACY)
        left = connection.scalar(
            sa.select(sa.func.count()).where(
                RUN.c.department_code == rig.source.department_code,
                RUN.c.system_code == rig.source.system_code,
                RUN.c.kind == RunKind.REVERSE.value,
                RUN.c.state == RunState.OPEN.value,
                RUN.c.lease_until < sa.func.clock_timestamp(),
            )
        )
    return reached, bool(left)
