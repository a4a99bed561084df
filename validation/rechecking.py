"""Differences on rows that people still change, decided by the watermark rule: not by waiting and hoping.

Read the legacy row, note where the old system stands, wait until the new one has come as far, read its record, read the
legacy row again. The record equals one of the two readings: equal. It equals neither, and the row did not change: it
differs, for good. Otherwise the key moved again, and another round asks again (anchors-validation B4: waiting and
retrying left 53 of 370 keys undecided, this rule none).
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import polars as pl

from banyan.clock import monotonic
from banyan.ports import LegacyPort
from banyan.records import Origin, Position


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
        return self.equal | frozenset(self.different["source_key"].drop_nulls().to_list())


def read_legacy(port: LegacyPort, keys_by_table: Mapping[str, tuple[str, ...]]) -> Reading:
    """Read the legacy rows of keys, and where the old system stands once they are read."""
    rows = {table: port.read_keys(table, keys).rows for table, keys in keys_by_table.items()}
    return Reading(rows, port.head())


def wait_until_applied(port: LegacyPort, position: Position, patience: Patience) -> bool:
    """Wait until the canonical side has come as far as a Position; False when it does not move any more."""
    until = monotonic() + patience.wait_seconds
    seen = patience.applied()
    while True:
        if seen is not None and not any(c.origin is Origin.PERSON for c in port.changes(seen, position)):
            return True
        time.sleep(patience.pause_seconds)
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
    of_first = frozenset(first["source_key"].drop_nulls().to_list())
    of_second = frozenset(second["source_key"].drop_nulls().to_list())
    equal = keys - (of_first & of_second)
    different = (of_first & of_second & keys) - restless
    return Decided(equal, second.filter(pl.col("source_key").is_in(list(different))))


def changed_rows(first: pl.DataFrame, second: pl.DataFrame, key: pl.Expr) -> frozenset[str]:
    """Give the keys whose legacy row is another one, or is there only once, in two readings."""
    one, other = first.with_columns(key.alias("source_key")), second.with_columns(key.alias("source_key"))
    gone = one.join(other, on=one.columns, how="anti", nulls_equal=True)["source_key"]
    came = other.join(one, on=one.columns, how="anti", nulls_equal=True)["source_key"]
    return frozenset([*gone.to_list(), *came.to_list()])
