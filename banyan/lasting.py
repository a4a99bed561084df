"""What banyan asks of a legacy system not all of whose tables know transactions: rows that stay as they are written."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from banyan.errors import RowRefused
from banyan.ports import ReverseSession
from banyan.records import Position

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, slots=True)
class RowSent:
    """What became of one row sent to a table without transactions.

    It may be changed although the legacy system refused it: a trigger that acts afterwards takes nothing back there.
    """

    key: str
    is_changed: bool
    refusal: RowRefused | None = None

    def __repr__(self) -> str:
        """Leave the key out."""
        return f"RowSent(is_changed={self.is_changed}, is_refused={self.refusal is not None})"


@runtime_checkable
class LastingSession(ReverseSession, Protocol):
    """A legacy transaction that reaches tables which none protects: their rows stay as written, one by one."""

    def is_lasting(self, table: str) -> bool:
        """Tell whether a row of this table stays as written, whatever becomes of the transaction."""
        ...

    def upsert_each(self, table: str, rows: "pl.DataFrame") -> Iterator[RowSent]:
        """Insert or update row by row; one that is refused leaves the others as they were written."""
        ...

    def delete_each(
        self, table: str, keys: Sequence[str], *, assign: Mapping[str, str | None] | None = None
    ) -> Iterator[RowSent]:
        """Delete row by row, or mark by the assignment; one that is refused leaves the others as they were written."""
        ...

    def hold_position(self, route: str, expected: Position | None, reached: Position) -> None:
        """Keep every other session of a route waiting to the end of this one, and set its Position.

        Refuses (LeaseLost) when the route did not stand where this session began to read.
        """
        ...


@runtime_checkable
class LastingPort(Protocol):
    """A legacy system some of whose tables no transaction protects."""

    def is_lasting(self, table: str) -> bool:
        """Tell whether a row of this table stays as written, whatever becomes of its transaction."""
        ...

    def head_at_rest(self, tables: Sequence[str]) -> Position:
        """Give the present Position when nobody writes these tables any more: nothing of them is told after it."""
        ...
