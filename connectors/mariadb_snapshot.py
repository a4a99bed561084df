"""Changes of a legacy MariaDB found by comparing every row with the hash it had: needs SELECT and nothing else.

Finds deletes, rows that a cascade took, and tables that no log or journal can follow. Each look reads the whole tables,
in short statements by key range; only keys and hashes leave the server.
"""

from collections.abc import Iterator, Sequence

import polars as pl
from pymysql.cursors import SSCursor

from banyan.errors import SourceDrifted
from banyan.ports import Incremental, RowMarks
from banyan.records import ChangedKey, KeyRange, Position
from connectors.dialects_mariadb import MariaDBShape, named, select_step
from connectors.dialects_mariadb_looks import select_hashes
from connectors.looks import Looks
from connectors.mariadb_capture import OpenMariaDBCapture, Watched
from connectors.mariadb_connection import Connection, MariaDBConnections, ask
from connectors.mariadb_shapes import read_shape

_ROWS_A_RANGE = 50_000
_ROWS_A_FRAME = 10_000


def open_mariadb_snapshot(
    tables: Sequence[str], marks: RowMarks, *, key: bytes, only_told: bool = False
) -> OpenMariaDBCapture:
    """Give the way of capture that compares every row with its mark; the hashes kept are keyed."""
    looks = Looks(tables, marks, key, only_told=only_told)
    return lambda reader, schema: MariaDBSnapshot(reader, schema, looks)


class MariaDBSnapshot:
    """Changes found by comparing every row with its hash."""

    incremental = Incremental.SNAPSHOT_DIFF

    def __init__(self, reader: MariaDBConnections, schema: str, looks: Looks) -> None:
        self._reader = reader
        self._schema = schema
        self._looks = looks

    def incarnation(self, connection: Connection) -> str:
        """Name the server; a restored backup shows as rows that differ."""
        return f"snapshot-{ask(connection, named('server', self._schema))[0][0]}"

    def head(self, connection: Connection) -> Position:
        """Look at every row and give the Position of this look; the first look only marks."""
        return self._looks.look(self.incarnation(connection), lambda table: self._hashes(connection, table))

    def place(self, connection: Connection) -> Position:
        """Give the Position of the last look; rows are read beside it, and compared by the next one."""
        return self._looks.last(self.incarnation(connection), lambda table: self._hashes(connection, table))

    def changes(self, since: Position, until: Position | None, watched: Watched) -> list[ChangedKey]:
        """List the keys found changed between two looks; without the second one, looks now."""
        with self._reader.session("comparing rows") as connection:
            incarnation = self.incarnation(connection)
            return self._looks.changes(incarnation, since, until, lambda table: self._hashes(connection, table))

    def is_followed(self, connection: Connection, table: str, watched: Watched) -> bool:
        """Tell whether a table is compared; nothing is installed for it, but it needs a key."""
        return table in self._looks.tables and bool(watched.shapes[table].key)

    def incremental_of(self, connection: Connection, table: str, watched: Watched) -> Incremental:
        """Tell how the changes of a table are found today; `none` where they are not."""
        return self.incremental if self.is_followed(connection, table, watched) else Incremental.NONE

    def unfollowable(self, watched: Watched) -> frozenset[str]:
        """Name the tables that this way could not follow whatever was installed."""
        return frozenset(name for name, shape in watched.shapes.items() if not shape.key)

    def plan(self, watched: Watched) -> list[str]:
        """Write nothing: rows are only read."""
        return []

    def removal(self, connection: Connection, tables: Sequence[str] | None) -> list[str]:
        """Write nothing: nothing was installed."""
        return []

    def prune(self, before: Position) -> int:
        """Forget what was found up to a look; gives how many keys."""
        with self._reader.session("reading the incarnation") as connection:
            return self._looks.prune(self.incarnation(connection), before)

    def _hashes(self, connection: Connection, table: str) -> Iterator[pl.DataFrame]:
        """Read keys and hashes in short statements; no snapshot is held from one to the next."""
        shape = read_shape(self._reader, self._schema, table)
        if not shape.key:
            raise SourceDrifted(
                f"{self._schema}.{table} has no primary key: its rows cannot be told apart; nothing was compared",
                hint="ask the department for a unique index",
                table=table,
            )
        low: str | None = None
        while True:
            high = self._step(connection, shape, low)
            yield from self._hashed(connection, shape, KeyRange(low, high))
            if high is None:
                return
            low = high

    def _step(self, connection: Connection, shape: MariaDBShape, low: str | None) -> str | None:
        if not shape.is_ordered:
            return None
        bound = select_step(shape, KeyRange(low, None), _ROWS_A_RANGE)
        rows = ask(connection, bound.query, bound.values)
        return str(rows[0][0]) if rows else None

    def _hashed(self, connection: Connection, shape: MariaDBShape, keys: KeyRange) -> Iterator[pl.DataFrame]:
        bound = select_hashes(shape, keys)
        with connection.cursor(SSCursor) as cursor:
            cursor.execute(bound.query, tuple(bound.values))
            while rows := cursor.fetchmany(_ROWS_A_FRAME):
                if any(digest is None for _, digest in rows):
                    raise SourceDrifted(
                        f"a row of {shape.name} is larger than the server may put together; nothing was compared",
                        hint="ask for a greater max_allowed_packet",
                        table=shape.name,
                    )
                hashes = [self._looks.keyed(bytes.fromhex(str(digest))) for _, digest in rows]
                keys_read = [str(key) for key, _ in rows]
                yield pl.DataFrame({"source_key": keys_read, "row_hash": pl.Series(hashes, dtype=pl.Binary)})
