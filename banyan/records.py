"""What travels: keys, positions, batches, changes, and the fate of every row."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NewType

if TYPE_CHECKING:
    import polars as pl

Position = NewType("Position", str)
"""An opaque place in a side's history; names the incarnation of its store; never parsed by a caller."""

KEY_SEPARATOR = "\x1f"
"""Joins the columns of a composite key (U+001F, unit separator)."""


class Fate(StrEnum):
    """What became of a legacy row; each row read has exactly one."""

    LOADED = "LOADED"
    UNCHANGED = "UNCHANGED"
    DELETED = "DELETED"
    FILTERED = "FILTERED"
    QUARANTINED = "QUARANTINED"
    IN_FLIGHT = "IN_FLIGHT"


class Operation(StrEnum):
    """What happened to a key."""

    INSERT = "I"
    UPDATE = "U"
    DELETE = "D"


class Origin(StrEnum):
    """Who caused a change: a person, or a route that carried somebody else's."""

    PERSON = "PERSON"
    ROUTE = "ROUTE"


@dataclass(frozen=True, slots=True)
class KeyRange:
    """Keys above `low` up to and including `high`, in the order of the medium; None is open."""

    low: str | None
    high: str | None


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows read together, as text columns in the order of the source, between two Positions."""

    table: str
    rows: "pl.DataFrame" = field(repr=False)
    low: Position
    high: Position


@dataclass(frozen=True, slots=True)
class ChangedKey:
    """One key that changed, without any value."""

    table: str
    key: str = field(repr=False)
    operation: Operation
    origin: Origin


@dataclass(frozen=True, slots=True)
class LoggedKey:
    """One key as the log of a legacy system told it, with its transaction; `operation` is I, U, D, T (truncated: every
    key of the table) or R (the whole transaction was a route's)."""

    transaction: int
    table: str
    operation: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class LogPlace:
    """How far the log of a legacy system was read into the store.

    `capture` names the installed capture, `mark` is the last mark left in the legacy system: a restored copy has an
    older one. `started` and `reached` are places in the log.
    """

    capture: str
    started: int
    reached: int
    mark: str


@dataclass(frozen=True, slots=True)
class RowCounts:
    """The fates of legacy rows, counted where each fate is decided, never by subtraction."""

    read: int = 0
    loaded: int = 0
    unchanged: int = 0
    deleted: int = 0
    filtered: int = 0
    quarantined: int = 0
    in_flight: int = 0

    @property
    def accounted(self) -> int:
        """Give the number of rows that have a fate."""
        return self.loaded + self.unchanged + self.deleted + self.filtered + self.quarantined + self.in_flight

    @property
    def is_balanced(self) -> bool:
        """Tell whether each row read has exactly one fate."""
        return self.read == self.accounted

    def __add__(self, other: "RowCounts") -> "RowCounts":
        return RowCounts(*(getattr(self, name) + getattr(other, name) for name in ROW_COUNTS))


@dataclass(frozen=True, slots=True)
class PartCounts:
    """What became of the canonical parts that rows emitted; `split` = parts emitted - rows emitting."""

    emitted: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    merged: int = 0
    split: int = 0
    removed: int = 0

    @property
    def is_balanced(self) -> bool:
        """Tell whether each emitted part was inserted, updated, unchanged or merged."""
        return self.emitted == self.inserted + self.updated + self.unchanged + self.merged

    def __add__(self, other: "PartCounts") -> "PartCounts":
        return PartCounts(*(getattr(self, name) + getattr(other, name) for name in PART_COUNTS))


ROW_COUNTS = ("read", "loaded", "unchanged", "deleted", "filtered", "quarantined", "in_flight")
PART_COUNTS = ("emitted", "inserted", "updated", "unchanged", "merged", "split", "removed")


@dataclass(frozen=True, slots=True)
class ChunkCounts:
    """Rows and parts of one chunk, or of a whole table or run when added up."""

    rows: RowCounts = RowCounts()
    parts: PartCounts = PartCounts()
    rejected_fields: int = 0

    @property
    def is_split_exactly(self) -> bool:
        """Tell whether the parts beyond the first of each row, counted by their links, are those that were emitted.

        Holds for rows of one direction: what goes back emits no part.
        """
        emitting = self.rows.loaded + self.rows.unchanged if self.parts.emitted else 0
        return self.parts.split == self.parts.emitted - emitting

    @property
    def is_balanced(self) -> bool:
        """Tell whether both conservation equations hold."""
        return self.rows.is_balanced and self.parts.is_balanced

    def __add__(self, other: "ChunkCounts") -> "ChunkCounts":
        return ChunkCounts(
            self.rows + other.rows, self.parts + other.parts, self.rejected_fields + other.rejected_fields
        )
