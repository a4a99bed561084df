"""What is judged again when only some of it changed: changed keys, records written since, and a slice that rotates.

The cost follows the change, not the table. The slice finds what no capture saw: each part of every table is read again
from the old system once in a month. The day of the last sound judgement is remembered: the slices of nights that were
missed since, or whose judgement was not sound, are read by the next one.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date

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
    slices: tuple[int, ...]


def plan_again(
    subject: Subject, judged: JudgedUpTo, *, until: Position, on: date, rows_per_range: int = _ROWS_PER_RANGE
) -> Again:
    """List what changed in the old system or was written in the store since a judgement, and the slices due."""
    slices = due_slices(judged.judged_at.astimezone(UTC).date(), on)
    changed = find_changed(subject, judged.legacy_position, until)
    written = find_written(subject, judged.snapshot)
    sliced = _slice(subject, slices, rows_per_range)
    every: dict[str, set[str]] = {}
    for found in (changed, written, sliced):
        for table, keys in found.items():
            every.setdefault(table, set()).update(keys)
    return Again(
        {table: sorted(keys) for table, keys in every.items()},
        changed=_count(changed),
        written=_count(written),
        sliced=_count(sliced),
        buckets=tuple(bucket for bucket in range(BUCKETS) if bucket % SLICES in slices),
        slices=slices,
    )


def due_slices(last: date, on: date) -> tuple[int, ...]:
    """Give the slices of all days after the last sound judgement; the slice of the day itself at least, all at most."""
    day = on.toordinal()
    first = max(min(last.toordinal() + 1, day), day - SLICES + 1)
    return tuple(sorted(each % SLICES for each in range(first, day + 1)))


def find_touched(subject: Subject, *, since: Position, snapshot: str, until: Position) -> dict[str, set[str]]:
    """List the keys that changed in the old system after a Position, or whose records were written after a snapshot."""
    touched = find_changed(subject, since, until)
    for table, keys in find_written(subject, snapshot).items():
        touched.setdefault(table, set()).update(keys)
    return touched


def _count(keys: Mapping[str, set[str]]) -> int:
    return sum(len(each) for each in keys.values())


def find_changed(subject: Subject, since: Position, until: Position) -> dict[str, set[str]]:
    """List the keys that changed in the old system after a Position and up to another, by table."""
    found: dict[str, set[str]] = {}
    tables = frozenset(subject.tables)
    for change in subject.port.changes(since, until):
        if change.table in tables:
            found.setdefault(change.table, set()).add(change.key)
    return found


def find_written(subject: Subject, snapshot: str) -> dict[str, set[str]]:
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


def _slice(subject: Subject, slices: Collection[int], rows_per_range: int) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for table in subject.tables:
        ranges = subject.port.plan_ranges(table, rows_per_range)
        turns = max(1, min(SLICES, len(ranges)))  # a short table comes round sooner
        wanted = {number % turns for number in slices}
        for place, keys in enumerate(ranges):
            if place % SLICES in wanted:
                rows = kept_columns(subject.compiled(table), subject.port.read_range(table, keys).rows)
                own = key_of(subject.book.rulesets[table], rows)
                found.setdefault(table, set()).update(own.drop_nulls().to_list())
    return found
