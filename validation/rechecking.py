"""Differences on rows that people still change, decided by the watermark rule: not by waiting and hoping.

Read the legacy row, note where the old system stands, wait until the new one has come as far, read its record, read the
legacy row again. The record equals one of the two readings: equal. It equals neither, and the row did not change: it
differs, for good. Otherwise the key moved again, and another round asks again (anchors-validation B4: waiting and
retrying left 53 of 370 keys undecided, this rule none).

A row that people change all the time is read at each look while the round waits: what the applier wrote is one of the
states the row went through, so the record equals a glimpse of it, whatever the lag. Only a row that changes faster than
one can look stays undecided.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import polars as pl

from banyan.clock import monotonic
from banyan.ports import LegacyPort
from banyan.records import Origin, Position

FEW = 500
"""Keys whose rows are looked at again and again while a round waits; more are read twice, and asked in the next one."""
GLIMPSES = 200
"""Looks kept of one round."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How to wait for the canonical side: who tells how far it has come, how often to ask again, how long to wait."""

    applied: Callable[[], Position | None]
    rounds: int = 12
    wait_seconds: float = 5.0
    pause_seconds: float = 0.02


@dataclass(frozen=True, slots=True)
class Reading:
    """Legacy rows of some keys as they stood at one Position."""

    rows: Mapping[str, pl.DataFrame] = field(repr=False)
    position: Position


@dataclass(frozen=True, slots=True)
class Decided:
    """What a round decided of the keys of one table; the others move still."""

    equal: frozenset[str]
    different: pl.DataFrame = field(repr=False)

    @property
    def keys(self) -> frozenset[str]:
        """Give the keys that are decided either way."""
        return self.equal | differing(self.different)


def read_legacy(port: LegacyPort, keys_by_table: Mapping[str, tuple[str, ...]]) -> Reading:
    """Read the legacy rows of keys, and where the old system stands once they are read."""
    rows = {table: port.read_keys(table, keys).rows for table, keys in keys_by_table.items()}
    return Reading(rows, port.head())


@dataclass(slots=True)
class Glimpses:
    """The legacy rows of a few keys as they were seen, look after look, while a round waits."""

    port: LegacyPort = field(repr=False)
    keys_by_table: Mapping[str, tuple[str, ...]] = field(repr=False)
    seen: list[Mapping[str, pl.DataFrame]] = field(default_factory=list, repr=False)

    def look(self) -> None:
        """Read the rows once more, unless there are too many of them or enough was seen."""
        if sum(map(len, self.keys_by_table.values())) <= FEW and len(self.seen) < GLIMPSES:
            self.seen.append(
                {table: self.port.read_keys(table, keys).rows for table, keys in self.keys_by_table.items()}
            )

    def states(
        self, table: str, first: pl.DataFrame, *, key: pl.Expr, of: frozenset[str]
    ) -> Iterator[tuple[frozenset[str], pl.DataFrame]]:
        """Give the states that rows of some keys went through after the first reading, a key at most once in a step."""
        steps: list[tuple[set[str], list[pl.DataFrame]]] = []
        told: Counter[str] = Counter()
        for rows in (look[table] for look in self.seen):
            came: dict[int, set[str]] = {}
            for each in changed_rows(first, rows, key) & of:
                came.setdefault(told[each], set()).add(each)
                told[each] += 1
            for step, keys in came.items():
                if step == len(steps):
                    steps.append((set(), []))
                steps[step][0].update(keys)
                steps[step][1].append(rows.filter(key.is_in(list(keys))))
            first = rows
        yield from ((frozenset(keys), pl.concat(rows)) for keys, rows in steps)


def wait_until_applied(
    port: LegacyPort, position: Position, patience: Patience, *, meanwhile: Callable[[], None]
) -> bool:
    """Wait until the canonical side has come as far as a Position; False when it does not move any more.

    `meanwhile` is done at each look, and never takes more than half of the time.
    """
    until = monotonic() + patience.wait_seconds
    seen = patience.applied()
    while True:
        if seen is not None and not any(c.origin is Origin.PERSON for c in port.changes(seen, position)):
            return True
        began = monotonic()
        meanwhile()
        time.sleep(max(patience.pause_seconds, monotonic() - began))
        now = patience.applied()
        if now != seen:
            until = monotonic() + patience.wait_seconds  # it comes nearer: one lag more
        elif monotonic() > until:
            return False
        seen = now


def decide(keys: frozenset[str], first: pl.DataFrame, second: pl.DataFrame, *, restless: frozenset[str]) -> Decided:
    """Decide keys from the differences of the record with the first and with the second reading.

    `restless` are the keys whose row changed between the two readings, or since: they can be equal, never different.
    """
    both = differing(first) & differing(second)
    different = (both & keys) - restless
    return Decided(keys - both, second.filter(pl.col("source_key").is_in(list(different))))


def differing(found: pl.DataFrame) -> frozenset[str]:
    """Give the keys that differences were found of."""
    return frozenset(found["source_key"].drop_nulls().to_list())


def changed_rows(first: pl.DataFrame, second: pl.DataFrame, key: pl.Expr) -> frozenset[str]:
    """Give the keys whose legacy row is another one, or is there only once, in two readings."""
    one, other = first.with_columns(key.alias("source_key")), second.with_columns(key.alias("source_key"))
    gone = one.join(other, on=one.columns, how="anti", nulls_equal=True)["source_key"]
    came = other.join(one, on=one.columns, how="anti", nulls_equal=True)["source_key"]
    return frozenset([*gone.to_list(), *came.to_list()])
