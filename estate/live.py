"""Running legacy users: officers who work at a pace until told to stop, and the night batch that leaves no stamp."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from threading import Event
from typing import Any

import psycopg

from banyan.clock import monotonic, today
from banyan.errors import SourceUnavailable, SourceUnreadable, UsageError
from estate.load import connect
from estate.officers import Officer

FENCED = "55006"
"""The SQLSTATE with which a closed fence refuses a write."""

_GAVE_WAY = frozenset(("40001", "40P01", "55P03", "57014"))
_RECONNECT_SECONDS = 15


class Deed(StrEnum):
    """What an officer does in one transaction."""

    INSERT = "insert"
    UPDATE = "update"
    SOFT_DELETE = "soft_delete"
    HARD_DELETE = "hard_delete"


class Outcome(StrEnum):
    """How a deed ended; UNKNOWN means that the connection ended before the server answered."""

    COMMITTED = "committed"
    REFUSED = "refused"
    ABORTED = "aborted"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast, and until when: after `seconds`, after `count` deeds, or only when told to stop."""

    rate_per_second: float = 20
    seconds: float | None = None
    count: int | None = None
    seed: int = 1

    def __post_init__(self) -> None:
        if not self.rate_per_second > 0:
            raise UsageError("the rate must be above 0 deeds a second; nobody has started to work")


@dataclass(frozen=True, slots=True)
class LiveEvent:
    """One deed as it ended: its table and key, and when it ended on the monotonic clock."""

    deed: Deed
    outcome: Outcome
    ended_at: float
    table: str | None = None
    key: str | None = field(default=None, repr=False)


@dataclass(slots=True)
class LiveCounts:
    """What the officers did."""

    committed: Counter[Deed] = field(default_factory=Counter)
    refused: int = 0
    aborted: int = 0
    unknown: int = 0

    @property
    def operations(self) -> int:
        """Give the number of committed deeds."""
        return self.committed.total()

    @property
    def attempts(self) -> int:
        """Give the number of deeds tried."""
        return self.operations + self.refused + self.aborted + self.unknown

    def add(self, event: LiveEvent) -> None:
        """Count one deed."""
        match event.outcome:
            case Outcome.COMMITTED:
                self.committed[event.deed] += 1
            case Outcome.REFUSED:
                self.refused += 1
            case Outcome.ABORTED:
                self.aborted += 1
            case Outcome.UNKNOWN:
                self.unknown += 1


@dataclass(frozen=True, slots=True)
class NightBatch:
    """The keys a batch changed without a stamp, by table; nothing when the fence refused it."""

    keys: dict[str, tuple[str, ...]] = field(repr=False)
    refused: bool


def due_deeds(pace: Pace, counts: LiveCounts, stop: Event) -> Iterator[None]:
    """Give the turn of each deed when it is due, until the pace ends or `stop` is set; `counts` tells what was done."""
    start = monotonic()
    while not stop.is_set() and (pace.count is None or counts.attempts < pace.count):
        due = start + counts.attempts / pace.rate_per_second
        if pace.seconds is not None and max(due, monotonic()) >= start + pace.seconds:
            return
        if stop.wait(max(0.0, due - monotonic())):
            return
        yield


def live(
    url: str, pace: Pace, *, on_event: Callable[[LiveEvent], None] | None = None, stop: Event | None = None
) -> LiveCounts:
    """Work as the account of the URL (orion_app) until the pace ends or `stop` is set; gives what was done.

    A refusal by the fence is counted and the work goes on; a lost connection is opened again.
    """
    stop = stop or Event()
    counts = LiveCounts()
    officer = Officer(connect(url), seed=pace.seed)
    choice = Random(pace.seed)
    try:
        for _ in due_deeds(pace, counts, stop):
            (deed,) = choice.choices(tuple(Deed), (20, 62, 10, 8))
            event = _try(officer, deed)
            counts.add(event)
            if on_event is not None:
                on_event(event)
            if officer.connection.closed:
                officer.connection = _reconnect(url, stop) or officer.connection
    finally:
        officer.connection.close()
    return counts


def night_batch(url: str, *, seed: int, count: int = 10) -> NightBatch:
    """Close `count` cases and rewrite `count` occupations as the account of the URL (orion_batch), without a stamp."""
    order = (str(seed), count)
    with connect(url) as connection:
        try:
            with connection.transaction():
                cases = connection.execute(
                    "update orion.t_proc set statut = 'C', dt_clo = %s where id_proc in (select id_proc "
                    "from orion.t_proc where statut <> 'C' order by md5(id_proc || %s) limit %s) "
                    "returning id_proc::text",
                    (f"{today():%Y%m%d}", *order),
                ).fetchall()
                persons = connection.execute(
                    "update orion.t_personne set profession = 'SANS PROFESSION' where id_pers in (select id_pers "
                    "from orion.t_personne where profession is distinct from 'SANS PROFESSION' "
                    "order by md5(id_pers || %s) limit %s) returning id_pers::text",
                    order,
                ).fetchall()
        except psycopg.Error as error:
            if error.sqlstate == FENCED:
                return NightBatch({}, refused=True)
            raise SourceUnreadable(
                f"the night batch ended with SQLSTATE {error.sqlstate}; it was rolled back"
            ) from error
    return NightBatch({"t_proc": _keys(cases), "t_personne": _keys(persons)}, refused=False)


def _keys(rows: list[tuple[Any, ...]]) -> tuple[str, ...]:
    return tuple(sorted(str(row[0]) for row in rows))


def _try(officer: Officer, deed: Deed) -> LiveEvent:
    work = {
        Deed.INSERT: officer.open_case,
        Deed.UPDATE: officer.change_field,
        Deed.SOFT_DELETE: officer.strike_out,
        Deed.HARD_DELETE: officer.remove,
    }[deed]
    try:
        with officer.connection.transaction():
            table, key = work()
    except psycopg.Error as error:
        if error.sqlstate == FENCED:
            outcome = Outcome.REFUSED
        elif error.sqlstate in _GAVE_WAY:
            outcome = Outcome.ABORTED
        elif officer.connection.closed:
            outcome = Outcome.UNKNOWN
        else:
            raise SourceUnreadable(
                f"ORION answered an officer's {deed.value} with SQLSTATE {error.sqlstate}; that deed was rolled back"
            ) from error
        return LiveEvent(deed, outcome, monotonic())
    return LiveEvent(deed, Outcome.COMMITTED, monotonic(), table, key)


def _reconnect(url: str, stop: Event) -> psycopg.Connection[Any] | None:
    """Open the connection again, for as long as a server needs to restart; None when told to stop."""
    deadline = monotonic() + _RECONNECT_SECONDS
    while not stop.wait(0.2):
        try:
            return connect(url)
        except SourceUnavailable:
            if monotonic() > deadline:
                raise
    return None
