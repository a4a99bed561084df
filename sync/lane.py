"""What the one loop needs of a direction: positions, plans, and carrying one chunk in one transaction."""

from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

from banyan.records import ChunkCounts, Position
from store.runs import ChunkLease, ChunkPlan
from sync.route import Route


class Step(StrEnum):
    """The named points of a chunk, in order; tests kill the process at each of them."""

    LEASED = "leased"
    READ = "read"
    LANDED = "landed"
    MAPPED = "mapped"
    WRITTEN = "written"
    COMMITTED = "committed"


STEPS = tuple(Step)

Checkpoint = Callable[[Step], None]
"""Called at each named point; does nothing in production."""


def pass_by(_: Step) -> None:
    """Do nothing at a named point."""


class Lane(Protocol):
    """One direction of a route."""

    @property
    def route(self) -> Route:
        """Give the route."""
        ...

    def head(self) -> Position:
        """Give the present Position of the side read from."""
        ...

    def watermark(self) -> Position | None:
        """Give how far the route has come; None before the first copy."""
        ...

    def plan_changes(self, since: Position, until: Position) -> list[ChunkPlan]:
        """Plan what changed between two Positions; empty when nothing did."""
        ...

    def carry(self, lease: ChunkLease, checkpoint: Checkpoint = pass_by) -> ChunkCounts:
        """Read, land, map and write one chunk; everything of it commits in one transaction."""
        ...
