"""Changes of a legacy PostgreSQL found by comparing every row with the hash it had: deletes, and rows without a stamp.

Needs SELECT and nothing else. Each look reads the whole tables, in short statements by key range; only keys and
hashes leave the server, and what is kept of them is keyed. Hashes and findings stand in the store and commit together.
"""

from collections.abc import Iterator, Sequence

import polars as pl

from banyan.canonical.columns import Kind
from banyan.ports import Incremental, RowMarks
from banyan.records import ChangedKey, KeyRange, Position
from connectors.capture import OpenCapture, ShapeOf
from connectors.dialects import TableShape, select_hashes, select_step, told_key
from connectors.looks import Looks
from connectors.postgresql_capture import read_head
from connectors.postgresql_connection import Connection, PostgreSQLConnections
from wire.copy import copy_out

_ROWS_A_RANGE = 50_000
_COLUMNS = {"source_key": Kind.TEXT, "row_hash": Kind.TEXT}


def open_snapshot_diff(tables: Sequence[str], marks: RowMarks, *, key: bytes, only_told: bool = False) -> OpenCapture:
    """Give the way of capture that compares every row with its mark; the hashes kept are keyed."""
    looks = Looks(tables, marks, key, only_told=only_told)
    return lambda reader, _, shape_of: SnapshotCapture(reader, shape_of, looks)


class SnapshotCapture:
    """Changes found by comparing every row with its hash."""

    incremental = Incremental.SNAPSHOT_DIFF
    deletes_visible = True

    def __init__(
        self,
        reader: PostgreSQLConnections,
        shape_of: ShapeOf,
        looks: Looks,
    ) -> None:
        self._reader = reader
        self._shape_of = shape_of
        self._looks = looks

    def incarnation(self, connection: Connection) -> str:
        """Name the history of this database."""
        return read_head(connection).incarnation

    def head(self, connection: Connection) -> Position:
        """Look at every row and give the Position of this look; the first look only marks."""
        return self._looks.look(self.incarnation(connection), lambda table: self._hashes(connection, table))

    def place(self, connection: Connection) -> Position:
        """Give the Position of the last look; rows are read beside it, and compared by the next one."""
        return self._looks.last(self.incarnation(connection), lambda table: self._hashes(connection, table))

    def changes(self, since: Position, until: Position | None) -> list[ChangedKey]:
        """List the keys found changed between two looks; without the second one, looks now."""
        with self._reader.session("comparing rows") as connection:
            incarnation = self.incarnation(connection)
            return self._looks.changes(incarnation, since, until, lambda table: self._hashes(connection, table))

    def is_installed(self, connection: Connection, table: str) -> bool:
        """Tell whether a table is compared; nothing is installed for it."""
        return table in self._looks.tables

    def plan(self, shapes: Sequence[TableShape]) -> list[str]:
        """Write nothing: rows are only read."""
        return []

    def install(self, admin_url: str, shapes: Sequence[TableShape]) -> None:
        """Install nothing."""

    def remove(self, admin_url: str, tables: Sequence[str] | None) -> None:
        """Remove nothing: nothing was installed."""

    def prune(self, before: Position) -> int:
        """Forget what was found up to a look; gives how many keys."""
        with self._reader.session("reading the incarnation") as connection:
            return self._looks.prune(self.incarnation(connection), before)

    def close(self) -> None:
        """Hold nothing open."""

    def _hashes(self, connection: Connection, table: str) -> Iterator[pl.DataFrame]:
        """Read keys and hashes in short statements; no snapshot is held from one to the next."""
        shape = self._shape_of(table)
        low: str | None = None
        while True:
            step, values = select_step(shape, KeyRange(low, None), _ROWS_A_RANGE)
            row = connection.execute(step, values).fetchone()
            high = told_key(shape, str(row[0])) if row is not None else None
            query, values = select_hashes(shape, KeyRange(low, high))
            for frame in copy_out(connection, query, _COLUMNS, values):
                hashes = [self._looks.keyed(bytes.fromhex(text)) for text in frame["row_hash"]]
                yield frame.with_columns(pl.Series("row_hash", hashes, dtype=pl.Binary))
            if high is None:
                return
            low = high
