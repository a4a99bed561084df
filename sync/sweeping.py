"""Tables whose capture was damaged and repaired: every row of them is read again before anything is followed.

What people wrote while nobody wrote it down is in no journal and no log; only reading finds it: rows that changed, rows
that came, and known rows that are gone. The Position stays: from it on, the other tables are followed as before.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

import polars as pl
import sqlalchemy as sa

from banyan.clock import monotonic, new_id, today
from banyan.departments import Side
from banyan.errors import SourceDrifted
from banyan.records import Position
from store.gaps import close_gaps, find_gaps
from store.known_keys import read_known_keys
from store.ledger import LedgerReader
from store.postgres import transaction
from store.row_tables import CROSSWALK
from store.tables import WATERMARK
from sync.assembly import Rig
from sync.captures import find_unfollowed
from sync.engine import RunResult, SyncEngine, Watcher, watch_nothing
from sync.retention import readmit_kept
from sync.setting import key_column
from sync.waiting import Breath, breathe, hold_breath

_ROWS_AT_ONCE = 20_000


@dataclass(frozen=True, slots=True)
class Start:
    """The Position from which a legacy system will be followed, and when it was asked for, in monotonic seconds."""

    position: Position
    asked_at: float


def sweep_gaps(rig: Rig, *, watcher: Watcher = watch_nothing) -> RunResult | None:
    """Read again every row of the tables that wait for it; None when none does, or before the first copy is done.

    Reads at the pace of the source. Whoever dies on the way leaves the tables waiting: the next one reads them from the
    beginning.
    """
    with transaction(rig.workspace.engine("banyan_forward")) as connection:
        gaps = find_gaps(connection, rig.source)
        open_run = LedgerReader(connection).find_open_run(rig.source, Side.CANONICAL)
    lane, engine = rig.forward(), rig.forward_engine(watcher=watcher, throttle=rig.throttle())
    since = lane.watermark()
    if not gaps or since is None:
        return None
    _refuse_unfollowed(rig, tuple(gaps))
    before_each = breathe(rig, watcher)
    before_each()
    rig.port.changes(since)  # refused when the history is another one: then two persons decide, and all is read
    if open_run is not None:
        engine.advance(lane)
    done = carry_all(rig, engine, find_all_keys(rig, gaps, before_each=before_each), before_each=before_each)
    with transaction(rig.workspace.engine("banyan_forward")) as connection:
        close_gaps(connection, rig.source, gaps)
    return done


def carry_all(
    rig: Rig, engine: SyncEngine, keys: dict[str, list[str]], *, before_each: Breath = hold_breath
) -> RunResult | None:
    """Read the rows of these keys again in one run, which leaves the watermark where it is; None without any key.

    Nobody says that people changed them: who was past the term comes back only where the old system says so today.
    """
    kept = readmit_kept(rig.setting("banyan_forward"), as_of=today(), before_each=before_each)
    both = {table: sorted({*keys.get(table, ()), *kept.get(table, ())}) for table in (*keys, *kept)}
    lane = rig.forward(is_any_way=True)
    return engine.carry_keys(lane, lane.plan_keys(both), mark=f"sweep {new_id().hex()}")


def find_all_keys(rig: Rig, tables: Iterable[str], *, before_each: Breath = hold_breath) -> dict[str, list[str]]:
    """Give the keys of all rows of these tables: those that are there, and those the store knows, gone ones too."""
    with transaction(rig.workspace.engine("banyan_forward")) as connection:
        known = {table: read_known_keys(connection, rig.source, table) for table in tables}
    return {table: sorted(read_keys(rig, table, before_each=before_each).union(known[table])) for table in known}


def read_keys(
    rig: Rig, table: str, *, removed: Mapping[str, str] | None = None, before_each: Breath = hold_breath
) -> set[str]:
    """Read the keys of a legacy table, without the rows that are marked as removed by these values of a column."""
    ruleset = rig.book.rulesets[table]
    found: set[str] = set()
    for keys in rig.port.plan_ranges(table, _ROWS_AT_ONCE):
        before_each()
        rows = rig.port.read_range(table, keys).rows
        for column, value in (removed or {}).items():
            rows = rows.filter(pl.col(column).ne_missing(value))
        found |= set(rows.select(key_column(ruleset)).to_series().to_list())
    return found


def find_keys(rig: Rig, table: str, *, is_buried: bool) -> set[str]:
    """Find the keys of the rows of a legacy table that the crosswalk knows: those that stand, or those buried."""
    at = CROSSWALK.c.deleted_at
    with transaction(rig.workspace.engine("banyan_reverse")) as connection:
        return set(
            connection.scalars(
                sa.select(CROSSWALK.c.source_key).where(
                    CROSSWALK.c.department_code == rig.source.department_code,
                    CROSSWALK.c.source_table_no == rig.table_numbers[table],
                    at.is_not(None) if is_buried else at.is_(None),
                )
            )
        )


def take_start(rig: Rig) -> Start:
    """Take the present Position of a legacy system, before every row of it is read."""
    asked_at = monotonic()
    return Start(rig.port.head(), asked_at)


def follow_from(rig: Rig, start: Start) -> None:
    """Set the forward watermark: the old Position belongs to a history that is no more, capture was restored too.

    It is as old as the start: what people did since, while every row was read, waits from here on.
    """
    source, ago = rig.source, timedelta(seconds=monotonic() - start.asked_at)
    with transaction(rig.workspace.engine("banyan_forward")) as connection:
        connection.execute(
            WATERMARK.update()
            .where(
                WATERMARK.c.department_code == source.department_code,
                WATERMARK.c.system_code == source.system_code,
                WATERMARK.c.to_side == Side.CANONICAL.value,
            )
            .values(position=start.position, updated_at=sa.func.clock_timestamp() - ago)
        )


def _refuse_unfollowed(rig: Rig, tables: tuple[str, ...]) -> None:
    """Refuse to read what would be missed again while it is read."""
    loose = find_unfollowed(rig.port, rig.workspace.source_config(rig.source), tables)
    if loose:
        raise SourceDrifted(
            f"the capture of {', '.join(loose)} is not repaired yet; nothing was read again",
            hint=f"banyan load {rig.source.department_code}",
            tables=", ".join(loose),
        )
