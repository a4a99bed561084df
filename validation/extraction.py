"""L0: was everything read? Every chunk done, every parcel as it was written, every row of it counted.

Judged are the last first copy to the canonical side and the runs of changes after it: their chunks, and the parcels
that hold what was received. Cells whose bytes are no text of the encoding declared are counted there, where they stand
behind a mark: many of them say that the encoding is another one. What a medium states of itself beside its rows (a
trailer, the number of records in a header) is a part of its own: one that nobody compares is not answered.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Row

from banyan.departments import Side
from banyan.errors import BanyanError
from banyan.findings import Finding, FindingKind, LevelResult, LevelState, Severity
from banyan.records import RowCounts
from banyan.undecoded import MARK
from mappings.fate_masks import holds
from store.landing import LandingZone
from store.ledger import LedgerReader
from store.postgres import transaction
from store.runs import Run, RunKind, RunState, counts_of
from store.tables import CHUNK
from validation.subject import Progress, Subject, Watcher, key_of, watch_nothing

_NAMED: Final = 5
COUNTS, TRAILERS = "counts", "trailers"
PER_MILLION: Final = 1_000_000
STATES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("postgresql", "mariadb", "odbc", "sqlite"), "a database states no totals of itself"),
    **dict.fromkeys(("csv", "xlsx"), "this kind of file states no totals of itself"),
    "dbf": "the header of each file counts its records, and none is read that counts others",
}
"""What each medium that can be loaded states of itself; of any other the totals are not compared."""


@dataclass(slots=True)
class _Count:
    """What has been read back so far."""

    tables: set[str] = field(default_factory=set)
    rows: int = 0
    chunks: int = 0
    parcels: int = 0
    decode_errors: int = 0
    cells: int = 0
    undecoded: Counter[str] = field(default_factory=Counter)
    """Cells that are no text of the encoding declared, by table and column."""


def check_extraction(
    subject: Subject, landing: LandingZone, *, medium: str = "", watcher: Watcher = watch_nothing
) -> LevelResult:
    """Read every parcel of the last load and of later changes back, and compare it with what was counted.

    `medium` is that of the source, as the project names it.
    """
    with transaction(subject.engine) as connection:
        runs = _judged_runs(LedgerReader(connection).read_runs(subject.source))
        chunks = {
            run.run_no: connection.execute(
                sa.select(CHUNK).where(CHUNK.c.run_no == run.run_no).order_by(CHUNK.c.chunk_no)
            ).all()
            for run in runs
        }
    if not runs:
        return LevelResult("L0", LevelState.NOT_RUN, "no first copy has been made", {"tables": 0, "rows": 0})
    count = _Count()
    findings = list(_coverage(subject, chunks[runs[0].run_no]))
    planned = sum(len(rows) for rows in chunks.values())
    for run in runs:
        for chunk in chunks[run.run_no]:
            if chunk.table_name in subject.tables:
                findings += _judge_chunk(subject, landing, chunk, count)
            watcher(Progress(chunk.table_name, count.chunks, planned, count.rows))
    return _conclude(findings, count, len(runs), medium)


def _judged_runs(runs: Sequence[Run]) -> list[Run]:
    """Choose the last load and the runs of changes after it; a run given up left its work to the next one."""
    forward = sorted((run for run in runs if run.to_side is Side.CANONICAL), key=lambda run: run.run_no)
    given_up = (RunState.FAILED, RunState.CANCELLED)
    loads = [run for run in forward if run.kind is RunKind.LOAD]
    if not loads:
        return []
    later = [
        run
        for run in forward
        if run.run_no > loads[-1].run_no and run.kind is RunKind.CHANGES and run.state not in given_up
    ]
    return [loads[-1], *later]


def _conclude(findings: list[Finding], count: _Count, runs: int, medium: str) -> LevelResult:
    state = LevelState.FAIL if findings else LevelState.PASS if count.rows else LevelState.NOT_RUN
    figures: dict[str, int | str | bool] = {
        "tables": len(count.tables),
        "rows": count.rows,
        "decode_errors": count.decode_errors,
        "runs": runs,
        "chunks": count.chunks,
        "parcels": count.parcels,
        "cells": count.cells,
        "undecoded_cells": count.undecoded.total(),
        "undecoded_per_million": -(-count.undecoded.total() * PER_MILLION // max(1, count.cells)),
        "parts": "+".join((COUNTS, TRAILERS) if medium in STATES else (COUNTS,)),
    }
    if findings:
        figures["problems"] = len(findings)
    sentence = (
        f"{count.chunks} chunks of {runs} runs, {count.parcels} parcels with {count.rows} rows read back,"
        f" {len(findings)} problems{_undecoded(count)}; {STATES.get(medium, _not_compared(medium))}"
    )
    return LevelResult("L0", state, sentence, figures, tuple(findings))


def _undecoded(count: _Count) -> str:
    most = ", ".join(f"{place} {cells}" for place, cells in count.undecoded.most_common(_NAMED))
    return f"; {count.undecoded.total()} cells are no text of the encoding declared: {most}" if most else ""


def _not_compared(medium: str) -> str:
    return f"totals that {medium or 'its medium'} may state of itself are not compared"


def _coverage(subject: Subject, chunks: Sequence[Row[tuple[object, ...]]]) -> Iterator[Finding]:
    """Check that the ranges of the load follow each other without a gap, from the first key to the last."""
    for table in subject.tables:
        own = [chunk for chunk in chunks if chunk.table_name == table and chunk.keys is None]
        problem = find_gap([(chunk.low_key, chunk.high_key) for chunk in own])
        if problem:
            yield _unreadable(table, "", problem)


def find_gap(ranges: Sequence[tuple[str | None, str | None]]) -> str:
    """Say why ranges, each from above one key to another, do not hold every key once; empty where they do.

    They stand in the order in which they were made: the upper part of one that was cut is younger than those after it.
    """
    if not ranges:
        return "the last load has not read this table"
    ends = dict(ranges)
    if None not in ends or None not in ends.values():
        return "the ranges of the last load do not hold every key"
    reached, passed = ends[None], 1
    while reached is not None and reached in ends and passed < len(ranges):
        reached, passed = ends[reached], passed + 1
    if reached is not None or passed < len(ranges):
        return "the ranges of the last load leave a gap, or hold keys twice"
    return ""


def _judge_chunk(
    subject: Subject, landing: LandingZone, chunk: Row[tuple[object, ...]], count: _Count
) -> Iterator[Finding]:
    table, name = chunk.table_name, f"run {chunk.run_no} chunk {chunk.chunk_no}"
    count.chunks += 1
    if chunk.state != "DONE":
        yield _unreadable(table, name, f"the chunk is {chunk.state}, not DONE")
        return
    if chunk.parcel is None:
        yield _unreadable(table, name, "the chunk names no parcel")
        return
    try:
        rows = landing.read_parcel(chunk.parcel)
    except BanyanError as error:  # its words name the parcel and what is wrong with it, never a value
        count.decode_errors += 1
        yield _unreadable(table, name, error.message)
        return
    count.parcels += 1
    count.rows += rows.height
    count.tables.add(table)
    count.cells += rows.height * rows.width
    marked = rows.select(pl.col(pl.String).str.starts_with(MARK).sum())
    count.undecoded.update({f"{table}.{column}": int(marked[column][0]) for column in marked.columns})
    count.undecoded += Counter()  # without those of which there are none
    for problem in _problems(subject, chunk, rows):
        yield _unreadable(table, name, problem)


def _problems(subject: Subject, chunk: Row[tuple[object, ...]], rows: pl.DataFrame) -> Iterator[str]:
    """Compare one parcel with the columns of its rule and the counts of its chunk."""
    ruleset = subject.book.rulesets[chunk.table_name]
    kept = [column for column in ruleset.columns if column not in ruleset.drop]
    if rows.columns != kept:
        yield "the parcel does not have the columns that the rule describes"
        return
    counts: RowCounts = counts_of(chunk.counts).rows
    softly = int(rows.select(holds(ruleset.deletes).sum()).item()) if ruleset.deletes and rows.height else 0
    read, missing = rows.height + counts.in_flight, 0
    if chunk.keys is not None:
        missing = len(set(chunk.keys)) - rows.height
        read = len(chunk.keys)
        asked = pl.Series("source_key", chunk.keys, dtype=pl.String)
        if not key_of(ruleset, rows).is_in(asked.implode()).all():
            yield "the parcel holds keys that were not asked for"
    if counts.read != read:
        yield f"{counts.read} rows counted as read, {read} in the parcel and in flight"
    if counts.deleted != softly + missing:
        yield f"{counts.deleted} rows counted as deleted, {softly + missing} found deleted or gone"


def _unreadable(table: str, key: str, cause: str) -> Finding:
    return Finding(FindingKind.UNREADABLE, Severity.BLOCK, table, key, cause=cause)
