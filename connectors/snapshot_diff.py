"""Changes of a legacy PostgreSQL found by comparing every row with the hash it had: deletes, and rows without a stamp.

Needs SELECT and nothing else. Each look reads the whole tables, in short statements by key range; only keys and
hashes leave the server, and what is kept of them is keyed. Hashes and findings stand in the store and commit together.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence

import polars as pl

from banyan.canonical.columns import Kind
from banyan.errors import SourceDrifted
from banyan.ports import Incremental, RowMarks
from banyan.records import ChangedKey, KeyRange, Position
from connectors.capture import OpenCapture, ShapeOf
from connectors.dialects import TableShape, select_hashes, select_step
from connectors.postgresql_capture import read_head
from connectors.postgresql_connection import Connection, PostgreSQLConnections
from wire.copy import copy_out

_ROWS_A_RANGE = 50_000
_HASH_BYTES = 16
_COLUMNS = {"source_key": Kind.TEXT, "row_hash": Kind.TEXT}


def open_snapshot_diff(tables: Sequence[str], marks: RowMarks, *, key: bytes) -> OpenCapture:
    """Give the way of capture that compares every row with its mark; the hashes kept are keyed."""
    return lambda reader, _, shape_of: SnapshotCapture(reader, shape_of, tables, (marks, key))


class SnapshotCapture:
    """Changes found by comparing every row with its hash."""

    incremental = Incremental.SNAPSHOT_DIFF
    deletes_visible = True

    def __init__(
        self,
        reader: PostgreSQLConnections,
        shape_of: ShapeOf,
        tables: Sequence[str],
        kept: tuple[RowMarks, bytes],
    ) -> None:
        self._reader = reader
        self._shape_of = shape_of
        self._tables = tables
        self._marks, self._key = kept

    def incarnation(self, connection: Connection) -> str:
        """Name the history of this database."""
        return read_head(connection).incarnation

    def head(self, connection: Connection) -> Position:
        """Look at every row and give the Position of this look; the first look only marks."""
        incarnation = self.incarnation(connection)
        place = self._marks.sweep(incarnation, ((table, self._hashes(connection, table)) for table in self._tables))
        return _position(incarnation, place.reached)

    def place(self, connection: Connection) -> Position:
        """Give the Position of the last look; rows are read beside it, and compared by the next one."""
        incarnation = self.incarnation(connection)
        last = self._marks.read_place()
        if last is None or last.capture != incarnation:
            return self.head(connection)
        return _position(incarnation, last.reached)

    def changes(self, since: Position, until: Position | None) -> list[ChangedKey]:
        """List the keys found changed between two looks; without the second one, looks now."""
        with self._reader.session("comparing rows") as connection:
            incarnation = self.incarnation(connection)
            low = _read_look(since, incarnation)
            high = _read_look(self.head(connection) if until is None else until, incarnation)
        last = self._marks.read_place()
        if last is None or last.capture != incarnation or not last.started <= low <= high <= last.reached:
            raise SourceDrifted(
                "the hashes behind this Position are not in the store any more; nothing was compared",
                hint="load the department again, or compare every row: banyan recon run",
            )
        return self._marks.read(_sees(low), _sees(high))

    def is_installed(self, connection: Connection, table: str) -> bool:
        """Tell whether a table is compared; nothing is installed for it."""
        return table in self._tables

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
            look = _read_look(before, self.incarnation(connection))
        return self._marks.prune(_sees(look), started=look)

    def close(self) -> None:
        """Hold nothing open."""

    def _hashes(self, connection: Connection, table: str) -> Iterator[pl.DataFrame]:
        """Read keys and hashes in short statements; no snapshot is held from one to the next."""
        shape = self._shape_of(table)
        low: str | None = None
        while True:
            step, values = select_step(shape, KeyRange(low, None), _ROWS_A_RANGE)
            row = connection.execute(step, values).fetchone()
            high = str(row[0]) if row is not None else None
            query, values = select_hashes(shape, KeyRange(low, high))
            for frame in copy_out(connection, query, _COLUMNS, values):
                hashes = [self._keyed(text) for text in frame["row_hash"]]
                yield frame.with_columns(pl.Series("row_hash", hashes, dtype=pl.Binary))
            if high is None:
                return
            low = high

    def _keyed(self, text: str) -> bytes:
        return hashlib.blake2b(bytes.fromhex(text), digest_size=_HASH_BYTES, key=self._key[:64]).digest()


def _sees(look: int) -> str:
    """Write a look as the snapshot that sees every look up to it."""
    return f"{look + 1}:{look + 1}:"


def _position(incarnation: str, look: int) -> Position:
    return Position(json.dumps({"incarnation": incarnation, "look": look}, sort_keys=True))


def _read_look(position: Position, incarnation: str) -> int:
    try:
        read = json.loads(position)
        named, look = str(read["incarnation"]), int(read["look"])
    except (ValueError, KeyError, TypeError):
        raise SourceDrifted("a Position of this source cannot be read; no row was compared") from None
    if named != incarnation:
        raise SourceDrifted(
            "the Position belongs to another incarnation of this database (restored or promoted); no row was compared",
            hint="banyan switch status, then load the department again or reconcile",
        )
    return look
