"""What is judged again when only some of it changed: changed keys, records written since, and a slice that rotates.

The cost follows the change, not the table. The slice finds what no capture saw: each part of every table is read again
from the old system once in a month of nights.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import polars as pl

from banyan.records import Position
from store.buckets import BUCKETS, JudgedUpTo, find_rows_written
from store.postgres import raw, transaction
from validation.stored import find_holders
from validation.subject import Subject, kept_columns, key_of

SLICES = 30
_ROWS_PER_RANGE = 2_000


@dataclass(frozen=True, slots=True)
class Again:
    """What is judged again: legacy keys by table, with how many came from where, and the buckets of the slice."""

    keys: Mapping[str, Sequence[str]] = field(repr=False)
    changed: int
    written: int
    sliced: int
    buckets: tuple[int, ...]
    slice_number: int


def plan_again(subject: Subject, judged: JudgedUpTo, *, until: Position, on: date) -> Again:
    """List what changed in the old system or was written in the store since a judgement, and the slice of the day."""
    number = on.toordinal() % SLICES
    changed = _changed(subject, judged.legacy_position, until)
    written = _written(subject, judged.snapshot)
    sliced = _slice(subject, number)
    every: dict[str, set[str]] = {}
    for found in (changed, written, sliced):
        for table, keys in found.items():
            every.setdefault(table, set()).update(keys)
    return Again(
        {table: sorted(keys) for table, keys in every.items()},
        changed=_count(changed),
        written=_count(written),
        sliced=_count(sliced),
        buckets=tuple(bucket for bucket in range(BUCKETS) if bucket % SLICES == number),
        slice_number=number,
    )


def find_touched(subject: Subject, *, since: Position, snapshot: str, until: Position) -> dict[str, set[str]]:
    """List the keys that changed in the old system after a Position, or whose records were written after a snapshot."""
    touched = _changed(subject, since, until)
    for table, keys in _written(subject, snapshot).items():
        touched.setdefault(table, set()).update(keys)
    return touched


def _count(keys: Mapping[str, set[str]]) -> int:
    return sum(len(each) for each in keys.values())


def _changed(subject: Subject, since: Position, until: Position) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    tables = frozenset(subject.tables)
    for change in subject.port.changes(since, until):
        if change.table in tables:
            found.setdefault(change.table, set()).add(change.key)
    return found


def _written(subject: Subject, snapshot: str) -> dict[str, set[str]]:
    """List the legacy rows of all records that any transaction wrote since, known or not."""
    found: dict[str, set[str]] = {}
    tables = subject.tables
    with transaction(subject.engine) as connection:
        for table in subject.canonical_tables:
            ids = find_rows_written(connection, table, subject.department.code, since=snapshot)
            if not ids:
                continue
            holders = find_holders(raw(connection), subject, table, pl.Series("id", ids, dtype=pl.Binary))
            known = holders.filter(pl.col("legacy_table").is_in(list(tables)))
            for legacy_table, key in known.select("legacy_table", "source_key").iter_rows():
                found.setdefault(legacy_table, set()).add(key)
    return found


def _slice(subject: Subject, number: int) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for table in subject.tables:
        ranges = subject.port.plan_ranges(table, _ROWS_PER_RANGE)
        for place, keys in enumerate(ranges):
            if place % SLICES == number % max(1, min(SLICES, len(ranges))):
                rows = kept_columns(subject.compiled(table), subject.port.read_range(table, keys).rows)
                own = key_of(subject.book.rulesets[table], rows)
                found.setdefault(table, set()).update(own.drop_nulls().to_list())
    return found
