"""Where each department stands: slices moved, lag either way, quarantine, and what waits for a person. Reads only."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from banyan.departments import Phase, Side, SourceRef
from banyan.errors import BanyanError, ConfigurationError
from cli.accounts import RouteAccount, read_accounts
from cli.examination import arming_command
from cli.lags import Lag, read_forward_lag, read_lags_back
from cli.progress import duration
from cli.words import Word
from store.postgres import transaction
from store.reached import OpenRun, read_open_runs
from store.row_tables import DEGRADED_WRITE_BACK, QUARANTINE
from store.runs import RunState
from store.slices import SliceRow, read_slices
from store.tables import RUN
from sync.assembly import Rig, open_rig
from sync.captures import find_unfollowed
from sync.workspace import Workspace


@dataclass(frozen=True, slots=True)
class DepartmentStatus:
    """One line of `banyan sync status`."""

    department: str
    moved: str
    forward_lag: str
    way_back: str
    quarantine: str
    word: Word
    sentence: str
    following: str
    lags: dict[str, Lag]
    quarantined_rows: int = 0
    quarantined_fields: int = 0
    degraded: int = 0
    accounts: tuple[RouteAccount, ...] = ()
    """What the last run of each route says became of its rows."""
    runs: tuple[OpenRun, ...] = ()
    """How far the runs are that are open, at which pace, and how long they still take."""


def read_status(workspace: Workspace, code: str) -> DepartmentStatus:
    """Read where a department stands; what does not answer is shown as stopped, with its reason."""
    lags: dict[str, Lag] = {}
    loose: list[str] = []
    try:
        sources = [SourceRef(code, name) for name in workspace.project.departments[code].sources]
        rigs = [open_rig(workspace, source, only_told=True) for source in sources]
        with transaction(workspace.engine("banyan_steward")) as connection:
            slices = [row for row in read_slices(connection) if row.department_code == code]
            rows, fields = _quarantined(connection, code)
            degraded = _degraded(connection, code)
            accounts = read_accounts(connection, code)
            runs = tuple(run for run in read_open_runs(connection) if run.source.department_code == code)
            trouble = _trouble(connection, code, slices, degraded, arming_command(workspace.project, [code]))
        for rig in rigs:
            lags |= _lags(rig)
            loose += _unfollowed(rig)
    except BanyanError as error:
        word = Word.WAIT if isinstance(error, ConfigurationError) else Word.NO
        following = error.hint or "banyan doctor"
        stopped = "STOPPED" if word is Word.NO else "-"
        return DepartmentStatus(code, "-", stopped, "-", "-", word, error.message, following, lags)
    moved = sum(row.owner is Side.CANONICAL for row in slices)
    word, sentence, following = trouble
    if loose and word is not Word.NO:
        word, sentence = Word.NO, f"changes of {', '.join(loose)} are not found"
        following = f"banyan source capabilities {code}"
    forward = [lag for name, lag in lags.items() if name.endswith(Side.CANONICAL.value)]
    back = [lag for name, lag in lags.items() if not name.endswith(Side.CANONICAL.value)]
    return DepartmentStatus(
        department=code,
        moved=f"{moved} of {len(slices)}",
        forward_lag=_text(forward),
        way_back=_text(back),
        quarantine=f"{rows} rows, {fields} fields",
        word=word,
        sentence=sentence,
        following=following,
        lags=lags,
        quarantined_rows=rows,
        quarantined_fields=fields,
        degraded=degraded,
        accounts=accounts,
        runs=runs,
    )


def _text(lags: list[Lag]) -> str:
    return "; ".join(map(str, lags)) or "-"


def _lags(rig: Rig) -> dict[str, Lag]:
    forward = read_forward_lag(rig)
    lags = {} if forward is None else {f"{rig.source} -> {Side.CANONICAL.value}": forward}
    return lags | {f"{name} -> {Side.LEGACY.value}": lag for name, lag in read_lags_back(rig).items()}


def _unfollowed(rig: Rig) -> list[str]:
    """Name the tables still owned by the old system whose changes nobody finds; none before the first copy."""
    if rig.forward().watermark() is None:
        return []
    owned = [found for found in rig.closures if rig.slices(found.name)[0].owner is Side.LEGACY]
    tables = [table for found in owned for table in found.tables]
    return find_unfollowed(rig.port, rig.workspace.source_config(rig.source), tables)


def _progress(connection: Connection, run_no: int) -> str:
    """Say how far an open run is, and how long it still takes at the pace of the last five minutes."""
    for run in read_open_runs(connection):
        if run.run_no == run_no:
            left = "" if run.seconds_left is None else f", about {duration(run.seconds_left)} left"
            return f": {run.chunks_done} of {run.chunks} chunks{left}"
    return ""


def _quarantined(connection: Connection, code: str) -> tuple[int, int]:
    is_row = QUARANTINE.c.column_name.is_(None)
    counted = connection.execute(
        sa.select(sa.func.count().filter(is_row), sa.func.count().filter(~is_row)).where(
            QUARANTINE.c.department_code == code, QUARANTINE.c.state == "OPEN"
        )
    ).one()
    return int(counted[0]), int(counted[1])


def _degraded(connection: Connection, code: str) -> int:
    query = sa.select(sa.func.count()).where(
        DEGRADED_WRITE_BACK.c.department_code == code, DEGRADED_WRITE_BACK.c.state == "OPEN"
    )
    return int(connection.scalar(query) or 0)


def _trouble(
    connection: Connection, code: str, slices: list[SliceRow], degraded: int, arming: str
) -> tuple[Word, str, str]:
    """Say the first thing that needs a person, the gravest first."""
    if any(row.phase is Phase.HALT for row in slices):
        return Word.NO, "halted until two people have reconciled", f"banyan switch status {slices[0].closure}"
    if any(not row.is_armed for row in slices):
        return Word.NO, "closed since the store restarted, until it is armed", arming
    held = connection.execute(
        sa.select(RUN.c.run_no, RUN.c.kind, RUN.c.reason)
        .where(RUN.c.department_code == code, RUN.c.state == RunState.FAILED.value)
        .order_by(RUN.c.run_no)
    ).first()
    if held is not None:
        cancel = f'banyan sync cancel {code} --reason "TEXT"'
        return Word.NO, f"stands still since run {held.run_no} ({held.kind}): {held.reason}", cancel
    left = connection.execute(
        sa.select(RUN.c.run_no, RUN.c.kind, RUN.c.opened_at, (RUN.c.lease_until < sa.func.now()).label("is_over"))
        .where(RUN.c.department_code == code, RUN.c.state == RunState.OPEN.value)
        .order_by(RUN.c.run_no)
    ).first()
    if left is not None:
        named = f"run {left.run_no} ({left.kind}) of {left.opened_at:%Y-%m-%d %H:%M} UTC"
        resume = f"banyan load {code}" if left.kind == "LOAD" else f"banyan sync run {code}"
        if left.is_over:
            return Word.WAIT, f"{named} was left unfinished", resume
        return Word.OK, f"{named} is open{_progress(connection, left.run_no)}", ""
    if any(row.phase in (Phase.REGISTERED, Phase.ASSESSED, Phase.MAPPED, Phase.LOADING) for row in slices):
        return Word.WAIT, "no first copy yet", f"banyan load {code}"
    if degraded:
        return Word.WAIT, f"{degraded} degraded write-backs", f"banyan quarantine degraded {code}"
    until = min((row.deadline for row in slices if row.deadline and row.phase is Phase.LIVE), default=None)
    return Word.OK, f"rollback until {until:%Y-%m-%d}" if until else "", ""
