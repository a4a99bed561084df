"""What a reconciliation found: its tally while it runs, and the result it becomes."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import polars as pl

from banyan.findings import Finding, FindingKind, LevelResult, LevelState, Severity
from mappings.tolerances import tolerances_of
from validation.differences import DIFFERENCES
from validation.provenance import ChunkPlan
from validation.subject import Subject

LISTED = 100_000
"""Differences listed one by one; all of them are counted by column and cause."""
EXPLAINED = "explained: degraded"


@dataclass(frozen=True, slots=True)
class ComparedColumn:
    """One canonical column: records compared, equal and different; moving and explained ones are not compared."""

    table: str
    column: str
    rule: str
    compared: int
    equal: int
    different: int


@dataclass(frozen=True, slots=True)
class CauseGroup:
    """Differences that share a table, a column, a kind and a cause."""

    table: str
    column: str | None
    kind: FindingKind
    cause: str
    records: int


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What a reconciliation found; `differences` tells the legacy table, key and id of each finding."""

    level: LevelResult
    columns: tuple[ComparedColumn, ...]
    causes: tuple[CauseGroup, ...]
    moving: int
    explained: int
    rows: int
    differences: pl.DataFrame = field(repr=False)
    chunks: tuple[ChunkPlan, ...] = ()
    """How a complete pass cut each legacy table."""


@dataclass(slots=True)
class Tally:
    """What has been counted so far, row by row of one pass."""

    rows: int = 0
    judged: int = 0
    explained: int = 0
    doubled: int = 0
    shared: int = 0
    different_records: int = 0
    moving: set[tuple[str, str]] = field(default_factory=set)
    rounds: int = 0
    held_back: dict[str, list[pl.DataFrame]] = field(default_factory=dict)
    """Differences of moving keys by legacy table: not counted before they are decided."""
    compared: Counter[tuple[str, str]] = field(default_factory=Counter)
    different: Counter[tuple[str, str]] = field(default_factory=Counter)
    tolerated: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Values that are the same only within the tolerance that a rule declares."""
    resumed: int = 0
    """Chunks that an earlier attempt of the same pass had judged."""
    rules: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    causes: Counter[tuple[str, str | None, str, str]] = field(default_factory=Counter)
    listed: list[pl.DataFrame] = field(default_factory=list)
    listed_count: int = 0


def conclude(subject: Subject, tally: Tally, *, is_full: bool) -> Reconciliation:
    """Turn a finished tally into the level, its columns, causes and differences."""
    columns = tuple(
        ComparedColumn(
            table,
            column,
            ", ".join(sorted(rules)),
            compared=tally.compared[table, column],
            equal=tally.compared[table, column] - tally.different[table, column],
            different=tally.different[table, column],
        )
        for (table, column), rules in sorted(tally.rules.items())
    )
    causes = tuple(
        CauseGroup(table, column, FindingKind(kind), cause, count)
        for (table, column, kind, cause), count in sorted(tally.causes.items(), key=lambda item: (item[0][0], -item[1]))
    )
    empty = pl.DataFrame(schema={"legacy_table": pl.String(), **DIFFERENCES})
    listed = pl.concat([empty, *tally.listed])
    found = sum(group.records for group in causes if group.cause != EXPLAINED)
    level = LevelResult(
        "L4",
        _state(tally, found),
        _sentence(tally, found, is_full=is_full, unsaid=subject.written_after)
        + (_limits(subject, tally) if is_full and tally.judged else ""),
        {
            "rows": tally.rows,
            "different": tally.different_records,
            "differences": found,
            "differences_listed": listed.height,
            "blocking": found,
            "moving": len(tally.moving),
            "rounds": tally.rounds,
            "explained_degraded": tally.explained,
            "shared": tally.shared,
            "doubled": tally.doubled,
            "tolerated": sum(tally.tolerated.values()),
            "tolerances": ", ".join(_tolerances(subject)),
            "resumed_chunks": tally.resumed,
            "complete_pass": is_full,
            "incomplete": int(not is_full),
            "domains": "+".join(sorted(subject.domains)),
        },
        tuple(_findings(listed)),
    )
    return Reconciliation(level, columns, causes, len(tally.moving), tally.explained, tally.rows, listed)


def _state(tally: Tally, found: int) -> LevelState:
    if found:
        return LevelState.FAIL
    return LevelState.PASS if tally.judged else LevelState.NOT_RUN


def _sentence(tally: Tally, found: int, *, is_full: bool, unsaid: Mapping[str, tuple[str, ...]]) -> str:
    if not tally.judged and not found:
        return "no legacy row was there to compare: nothing is proved"
    scope = "all rows" if is_full else f"{tally.judged} keys"
    passed_by = [f"{table}.{column}" for table, columns in sorted(unsaid.items()) for column in columns]
    said = f", not judged because a statement after the load writes them: {', '.join(passed_by)}" if passed_by else ""
    return (
        f"{scope}: {tally.rows} rows re-read, {tally.different_records} records differ, {len(tally.moving)} keys"
        f" still move, {tally.explained} differences explained by degraded write-backs{said}"
    )


def _limits(subject: Subject, tally: Tally) -> str:
    """Say within which tolerances values were taken for the same, what is older, and what this level cannot see."""
    said = ""
    if declared := _tolerances(subject):
        said += (
            f"; tolerances that rules declare: {', '.join(declared)}:"
            f" {sum(tally.tolerated.values())} values are the same only within them"
        )
    if tally.resumed:
        said += f"; {tally.resumed} chunks were judged by an earlier attempt, what was touched since was judged again"
    return f"{said}; mapped by the same code as the load, so that a rule wrong twice in the same way is not seen"


def _tolerances(subject: Subject) -> list[str]:
    return sorted(
        {
            f"{part.table}.{column} {tolerance}"
            for table in subject.tables
            for part in subject.parts(table)
            for column, tolerance in tolerances_of(part).items()
        }
    )


def _findings(listed: pl.DataFrame) -> Iterator[Finding]:
    named = listed.select(
        "kind", "canonical_table", pl.coalesce("source_key", pl.col("id").bin.encode("hex")), "column", "cause"
    )
    for kind, table, key, column, cause in named.iter_rows():
        yield Finding(FindingKind(kind), Severity.BLOCK, table, key, column, cause)
