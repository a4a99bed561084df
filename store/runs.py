"""Words of the ledger: runs, chunks and leases, and how they look in its rows."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy.engine import Row

from banyan.departments import Side, SourceRef
from banyan.records import ChunkCounts, KeyRange, PartCounts, Position, RowCounts


class RunKind(StrEnum):
    """What a run does."""

    LOAD = "LOAD"
    CHANGES = "CHANGES"
    REVERSE = "REVERSE"
    VERIFY = "VERIFY"


class RunState(StrEnum):
    """Where a run stands."""

    OPEN = "OPEN"
    DONE = "DONE"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What somebody wants to run, and how long a silent owner keeps it."""

    source: SourceRef
    to_side: Side
    kind: RunKind
    owner: str
    from_position: Position | None = None
    until_position: Position | None = None
    rules_digest: str | None = None
    lease_seconds: int = 120


@dataclass(frozen=True, slots=True)
class Run:
    """One execution along a route, as the ledger knows it."""

    run_no: int
    source: SourceRef
    to_side: Side
    kind: RunKind
    state: RunState
    owner: str
    attempt: int
    from_position: Position | None
    until_position: Position | None
    opened_at: datetime
    lease_until: datetime


@dataclass(frozen=True, slots=True)
class ChunkPlan:
    """A part of a run to be done at once: a range of keys of a legacy table, or a list of keys."""

    table: str
    keys: KeyRange | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunProgress:
    """How far a run is: chunks done, chunks planned, and the rows read for those that are done."""

    done: int = 0
    planned: int = 0
    rows: int = 0


@dataclass(frozen=True, slots=True)
class ChunkLease:
    """A chunk held by one worker; (owner, attempt) is its fencing token."""

    run_no: int
    chunk_no: int
    table: str
    keys: KeyRange | tuple[str, ...]
    owner: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Intent:
    """What tells that a chunk was committed on a side that keeps its own Position: the name of the Position, and it.

    `rows` names the rows that are written, as table, U+001F, key; `since` is where the Position stood before: while it
    stands there, nothing of the chunk was committed.
    """

    name: str
    position: Position
    attempt: int
    rows: tuple[str, ...] = field(default=(), repr=False)
    since: Position | None = field(default=None, repr=False)


def figures_of(counts: ChunkCounts) -> dict[str, int]:
    """Give counts as named figures: `rows.read`, `parts.emitted`, `rejected_fields`."""
    figures = {f"rows.{name}": figure for name, figure in asdict(counts.rows).items()}
    figures |= {f"parts.{name}": figure for name, figure in asdict(counts.parts).items()}
    return figures | {"rejected_fields": counts.rejected_fields}


def counts_of(stored: Mapping[str, Any]) -> ChunkCounts:
    """Give counts back from what a chunk stored."""
    return ChunkCounts(RowCounts(**stored["rows"]), PartCounts(**stored["parts"]), stored["rejected_fields"])


def chunk_values(run_no: int, chunk_no: int, plan: ChunkPlan) -> dict[str, object]:
    """Give a planned chunk as the values of its row."""
    chunk: dict[str, object] = {"run_no": run_no, "chunk_no": chunk_no, "table_name": plan.table, "state": "PLANNED"}
    if isinstance(plan.keys, KeyRange):
        return chunk | {"low_key": plan.keys.low, "high_key": plan.keys.high, "keys": None}
    return chunk | {"low_key": None, "high_key": None, "keys": list(plan.keys)}


def run_of(row: Row[Any]) -> Run:
    """Give the run a ledger row describes."""
    return Run(
        run_no=row.run_no,
        source=SourceRef(row.department_code, row.system_code),
        to_side=Side(row.to_side),
        kind=RunKind(row.kind),
        state=RunState(row.state),
        owner=row.owner,
        attempt=row.attempt,
        from_position=Position(row.from_position) if row.from_position is not None else None,
        until_position=Position(row.until_position) if row.until_position is not None else None,
        opened_at=row.opened_at,
        lease_until=row.lease_until,
    )


def lease_of(row: Row[Any]) -> ChunkLease:
    """Give the lease a chunk row describes."""
    keys = tuple(row.keys) if row.keys is not None else KeyRange(row.low_key, row.high_key)
    return ChunkLease(row.run_no, row.chunk_no, row.table_name, keys, row.owner, row.attempt)
