"""A legacy system that is only read: rows as raw text, changes by looking at every row, nothing written back, no fence.

What reads it is a `TableReader`, one for each medium. Without a memory for looks nothing is followed: rows can be
scanned, counted and copied once.
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import NoReturn, Protocol
from uuid import UUID

import polars as pl

from banyan.errors import SourceDrifted, UsageError
from banyan.ports import Capabilities, Incremental, ReverseSession, SourceColumn, WriteBack
from banyan.records import Batch, ChangedKey, KeyRange, Position
from connectors.looks import Looks

_ROWS_A_LOOK = 50_000


class TableReader(Protocol):
    """How one medium is read."""

    @property
    def note(self) -> str:
        """Say what must be known before this medium is trusted; empty when nothing must."""
        ...

    def tables(self) -> list[str]:
        """List the tables that can be read."""
        ...

    def columns(self, table: str) -> list[SourceColumn]:
        """List the columns of a table in the order of the source; refuses a table that is not there."""
        ...

    def key_columns(self, table: str) -> tuple[str, ...]:
        """Name the columns of the primary key; empty when there is none."""
        ...

    def is_ordered(self, table: str) -> bool:
        """Tell whether key ranges can be cut."""
        ...

    def count(self, table: str) -> int:
        """Count the rows of a table."""
        ...

    def find_step(self, table: str, keys: KeyRange, rows: int) -> str | None:
        """Give the key that is `rows` rows after the low end of a range; None when it holds fewer."""
        ...

    def read_range(self, table: str, keys: KeyRange) -> pl.DataFrame:
        """Read the raw texts of the rows of a key range."""
        ...

    def read_keys(self, table: str, keys: Sequence[str]) -> pl.DataFrame:
        """Read the raw texts of the rows of the keys given."""
        ...

    def read_to_compare(self, table: str, keys: KeyRange) -> pl.DataFrame:
        """Read the rows of a key range with all that tells two rows apart, even what raw text does not say."""
        ...

    def identity(self) -> str:
        """Name this store, so that another one under the same address is recognised."""
        ...

    def close(self) -> None:
        """Let go of what is held open."""
        ...


class OneWayPort:
    """Reads a legacy system through a reader; refuses everything that would change it."""

    def __init__(self, reader: TableReader, looks: Looks | None = None) -> None:
        self._reader = reader
        self._looks = looks
        self._identity = ""

    def close(self) -> None:
        """Let go of what the reader holds open."""
        self._reader.close()

    def tables(self) -> list[str]:
        """List the tables that can be read."""
        return self._reader.tables()

    def columns(self, table: str) -> list[SourceColumn]:
        """List the columns of a table in the order of the source."""
        return self._reader.columns(table)

    def key_columns(self, table: str) -> tuple[str, ...]:
        """Name the columns of the primary key; empty when there is none."""
        return self._reader.key_columns(table)

    def capabilities(self, table: str) -> Capabilities:
        """Tell what this table can do: with a key it is followed by looks; without one it is read whole, once."""
        is_followed = bool(self.key_columns(table)) and self._looks is not None and table in self._looks.tables
        return Capabilities(
            incremental=Incremental.SNAPSHOT_DIFF if is_followed else Incremental.NONE,
            write_back=WriteBack.NONE,
            deletes_visible=is_followed,
            note=self._reader.note,
        )

    def incarnation(self) -> str:
        """Name this store."""
        if not self._identity:
            self._identity = hashlib.sha256(self._reader.identity().encode()).hexdigest()
        return self._identity

    def head(self) -> Position:
        """Look at every row and give the Position of this look."""
        return self._followed().look(self.incarnation(), self._hashes)

    def count(self, table: str) -> int:
        """Count the rows of a table."""
        return self._reader.count(table)

    def plan_ranges(self, table: str, rows_per_chunk: int) -> list[KeyRange]:
        """Cut a table into key ranges that together hold every key, present or future.

        Steps through the key in the order of the source. A table whose key cannot be compared is one range, and is
        refused when it exceeds a chunk.
        """
        if rows_per_chunk < 1:
            raise UsageError("a chunk holds at least one row; nothing was planned", rows_per_chunk=rows_per_chunk)
        if not self._reader.is_ordered(table):
            rows = self._reader.count(table)
            if rows > rows_per_chunk:
                what = "a primary key of a type that cannot be cut into ranges here" if self.key_columns(table) else (
                    "no primary key to cut it by"
                )  # fmt: skip
                raise SourceDrifted(
                    f"{table} has {rows} rows and {what}; nothing was planned",
                    hint="ask the department for a primary key of numbers or texts, or for an extract as files",
                    table=table,
                )
            return [KeyRange(None, None)]
        bounds: list[str | None] = [None]
        while (step := self._reader.find_step(table, KeyRange(bounds[-1], None), rows_per_chunk)) is not None:
            if step == bounds[-1]:
                raise SourceDrifted(
                    f"the keys of {table} stand in no order that can be stepped through; nothing was planned",
                    hint="ask for an extract as files",
                    table=table,
                )
            bounds.append(step)
        return [KeyRange(low, high) for low, high in zip(bounds, [*bounds[1:], None], strict=True)]

    def find_cut(self, table: str, keys: KeyRange, rows: int) -> str | None:
        """Find the key that ends the first rows of a range; None when the range holds no more than those."""
        if not self._reader.is_ordered(table):
            return None
        cut = self._reader.find_step(table, keys, rows)
        return None if cut in (keys.low, keys.high) else cut

    def read_range(self, table: str, keys: KeyRange) -> Batch:
        """Read the rows of a key range beside the last look."""
        low = self._place()
        return Batch(table, self._reader.read_range(table, keys), low, low)

    def read_keys(self, table: str, keys: Sequence[str]) -> Batch:
        """Read the rows of the keys given, as they are now; an absent key has no row."""
        if not self.key_columns(table):
            raise SourceDrifted(
                f"{table} has no primary key: its rows cannot be found again; nothing was read", table=table
            )
        low = self._place()
        return Batch(table, self._reader.read_keys(table, keys), low, low)

    def changes(self, since: Position, until: Position | None = None) -> list[ChangedKey]:
        """List each key found changed between two looks, once; without the second one, looks now."""
        return self._followed().changes(self.incarnation(), since, until, self._hashes)

    def prune(self, before: Position) -> int:
        """Forget what was found up to a look; gives how many keys."""
        return self._followed().prune(self.incarnation(), before)

    def reverse_session(self, closure: str, token: int, *, nonce: UUID) -> AbstractContextManager[ReverseSession]:
        """Refuse: nothing is written back to a source that is only read."""
        self._refuse_writing()

    def reverse_position(self, route: str) -> Position | None:
        """Give none: no route leads back."""
        return None

    def reserve_keys(self, counter: str, count: int) -> list[str]:
        """Refuse: no key is taken from a source that is only read."""
        self._refuse_writing()

    def _place(self) -> Position:
        if self._looks is None:
            return Position(f"one reading of {self.incarnation()}")
        return self._looks.last(self.incarnation(), self._hashes)

    def _hashes(self, table: str) -> Iterator[pl.DataFrame]:
        key = self.key_columns(table)
        if not key:
            raise SourceDrifted(
                f"{table} has no primary key: its rows cannot be followed; nothing was compared",
                hint="ask the department for a primary key, or for an extract as files",
                table=table,
            )
        looks = self._followed()
        for keys in self.plan_ranges(table, _ROWS_A_LOOK):
            yield looks.hash_rows(self._reader.read_to_compare(table, keys), key)

    def _followed(self) -> Looks:
        if self._looks is None:
            raise UsageError("this source was opened to be read once: it has no Position; nothing was read")
        return self._looks

    def _refuse_writing(self) -> NoReturn:
        raise UsageError(
            "this source is only read: nothing is written back to it; it was left as it is",
            hint="banyan source capabilities says what each table allows",
        )
