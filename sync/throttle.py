"""How fast a legacy system is read: chunks as long as its people can bear, and none while they need it themselves.

The pace stands in the control plane and is read again every second, so that it can be changed while a run goes on.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy.engine import Engine

from banyan.clock import monotonic, now
from banyan.departments import Department, SourceRef
from banyan.errors import ConfigurationError
from banyan.ports import Divisible, LegacyPort, Observable
from banyan.records import KeyRange
from store.ledger import Ledger
from store.pace import Pace, read_pace
from store.postgres import transaction
from store.runs import ChunkLease, ChunkPlan, Run

FIRST_ROWS = 10_000
LEAST_ROWS = 100
MOST_ROWS = 50_000
_LOOK_SECONDS = 1.0
_STEP = 2.0  # a chunk is at most twice, and at least a quarter, of the one before
_SHRINK = 0.25

Waiting = Callable[[str], None]
"""Told each second why nothing is read; may end the waiting by raising."""


@dataclass(slots=True)
class _Learnt:
    rows: int = FIRST_ROWS


class Throttle:
    """The pace of one legacy system, for one process that reads it."""

    def __init__(
        self,
        engine: Engine,
        source: SourceRef,
        department: Department,
        port: LegacyPort,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._engine = engine
        self._source = source
        self._zone = ZoneInfo(department.time_zone)
        self._port = port
        self._sleep = sleep
        self._pace = Pace()
        self._looked_at = float("-inf")
        self._tables: dict[str, _Learnt] = {}

    def wait(self, waiting: Waiting) -> None:
        """Wait until the legacy system may be read: not paused, not in its closed hours, not too busy."""
        while reason := self.find_obstacle(now()):
            waiting(reason)
            self._sleep(_LOOK_SECONDS)

    def find_obstacle(self, instant: datetime) -> str:
        """Say why nothing may be read at an instant; empty when it may."""
        pace = self._read()
        if pace.paused_at is not None:
            return f"paused since {pace.paused_at:%Y-%m-%d %H:%M} UTC by {pace.changed_by}"
        if pace.closed_from is not None and pace.closed_until is not None:
            local = f"{instant.astimezone(self._zone):%H:%M}"
            if is_within(local, pace.closed_from, pace.closed_until):
                return f"closed from {pace.closed_from} to {pace.closed_until}, it is {local} there"
        return self._find_load(pace)

    def shorten(self, ledger: Ledger, run: Run, lease: ChunkLease) -> ChunkLease:
        """Cut a leased range to what the next chunk shall hold; the rest becomes a chunk of its own, in one commit."""
        if not isinstance(lease.keys, KeyRange) or not isinstance(self._port, Divisible):
            return lease
        cut = self._port.find_cut(lease.table, lease.keys, self.rows(lease.table))
        if cut is None:
            return lease
        rest = ChunkPlan(lease.table, KeyRange(cut, lease.keys.high))
        return ledger.cut_chunk(run, lease, rest)

    def rows(self, table: str) -> int:
        """Give how many rows of a table the next chunk shall hold."""
        return self._tables.setdefault(table, _Learnt()).rows

    def learn(self, table: str, rows: int, seconds: float) -> None:
        """Adapt the next chunk of a table to how long this one took on the legacy server."""
        learnt = self._tables.setdefault(table, _Learnt())
        if rows < learnt.rows // 2 and seconds < self._pace.chunk_seconds:
            return  # the end of a range says little
        wanted = rows * self._pace.chunk_seconds / max(seconds, 0.001)
        bounded = min(max(wanted, learnt.rows * _SHRINK), learnt.rows * _STEP)
        learnt.rows = round(min(max(bounded, LEAST_ROWS), MOST_ROWS))

    def _read(self) -> Pace:
        if monotonic() - self._looked_at >= _LOOK_SECONDS:
            with transaction(self._engine) as connection:
                self._pace = read_pace(connection, self._source)
            self._looked_at = monotonic()
        return self._pace

    def _find_load(self, pace: Pace) -> str:
        if pace.most_active is None and pace.most_lock_waits is None:
            return ""
        if not isinstance(self._port, Observable):
            raise ConfigurationError(
                f"{self._source} cannot tell how busy it is; nothing was read",
                hint=f"banyan sync throttle {self._source.department_code} --no-limits",
            )
        load = self._port.load()
        if pace.most_lock_waits is not None and load.lock_waits > pace.most_lock_waits:
            return f"{load.lock_waits} sessions wait for locks there, {pace.most_lock_waits} are allowed"
        if pace.most_active is None:
            return ""
        if load.active is None:
            raise ConfigurationError(
                f"the account may not see how many sessions of {self._source} work; nothing was read",
                hint="grant pg_read_all_stats to banyan_reader, or "
                f"banyan sync throttle {self._source.department_code} --no-limits",
            )
        if load.active > pace.most_active:
            return f"{load.active} sessions work there, {pace.most_active} are allowed"
        return ""


def is_within(moment: str, start: str, end: str) -> bool:
    """Tell whether a local time (`HH:MM`) lies between two others, over midnight when the end comes first."""
    return start <= moment < end if start <= end else moment >= start or moment < end
