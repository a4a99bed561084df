"""Changes of a legacy PostgreSQL found by the last writer of each row, where nothing may be installed: reading only.

Where the project names a column that is stamped at each change, its index narrows what is looked at. A row stamped
before a look and committed after it is found by the next one, because the look goes back to the start of the oldest
transaction that was open then, as the server itself tells it; where it does not tell, this is refused and no overlap is
guessed. Of the rows in that overlap only those are told whose last writer the earlier look did not see. Deleted rows
are not found, nor rows changed without the stamp that the project named: `capture: snapshot` finds both.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from banyan.errors import ConfigurationError, SourceDrifted, SourceRestored, SourceUnavailable
from banyan.ports import Incremental
from banyan.records import ChangedKey, Operation, Origin, Position
from connectors.capture import OpenCapture, ShapeOf
from connectors.dialects import TableShape, statement
from connectors.dialects_stamps import select_stamped
from connectors.history import DECIDE
from connectors.postgresql_capture import read_head
from connectors.postgresql_connection import Connection, PostgreSQLConnections


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the rows: the history, what was visible, and since when the oldest open transaction had been open."""

    incarnation: str
    snapshot: str
    floor: str

    @property
    def position(self) -> Position:
        """Give it as the opaque text callers keep."""
        told = {"floor": self.floor, "incarnation": self.incarnation, "snapshot": self.snapshot}
        return Position(json.dumps(told, sort_keys=True))


def open_row_version(tables: Sequence[str], column: str) -> OpenCapture:
    """Give the way of capture that reads the last writer of each row, narrowed by a stamp where a table has it."""
    return lambda reader, _, shape_of: RowVersionCapture(reader, shape_of, tables, column)


class RowVersionCapture:
    """Changes found by the stamp of each row."""

    incremental = Incremental.WATERMARK
    deletes_visible = False

    def __init__(self, reader: PostgreSQLConnections, shape_of: ShapeOf, tables: Sequence[str], column: str) -> None:
        self._reader = reader
        self._shape_of = shape_of
        self._tables = tables
        self._column = column

    def incarnation(self, connection: Connection) -> str:
        """Name the history of this database."""
        return read_head(connection).incarnation

    def head(self, connection: Connection) -> Position:
        """Give the present Position; refuses when the server does not show how long its transactions are open."""
        return self._look(connection).position

    def place(self, connection: Connection) -> Position:
        """Give the present Position."""
        return self.head(connection)

    def changes(self, since: Position, until: Position | None) -> list[ChangedKey]:
        """List the keys of rows stamped and committed between two looks."""
        with self._reader.session("reading stamps") as connection:
            here = self._look(connection)
            low = _read_look(since, here)
            high = here if until is None else _read_look(until, here)
            found: list[ChangedKey] = []
            for table in self._tables:
                bounds = (low.floor, low.snapshot, high.snapshot)
                query, values = select_stamped(self._shape_of(table), self._stamp(table), bounds)
                rows = connection.execute(query, values).fetchall()
                found += [ChangedKey(table, key, Operation.UPDATE, Origin.PERSON) for (key,) in rows]
        return found

    def is_installed(self, connection: Connection, table: str) -> bool:
        """Tell whether a table is looked at; nothing is installed for it."""
        return table in self._tables

    def plan(self, shapes: Sequence[TableShape]) -> list[str]:
        """Write nothing: rows are only read."""
        return []

    def install(self, admin_url: str, shapes: Sequence[TableShape]) -> None:
        """Install nothing."""

    def remove(self, admin_url: str, tables: Sequence[str] | None) -> None:
        """Remove nothing: nothing was installed."""

    def prune(self, before: Position) -> int:
        """Forget nothing: nothing is kept."""
        return 0

    def close(self) -> None:
        """Hold nothing open."""

    def _stamp(self, table: str) -> str:
        """Name the stamp of a table; empty where it has none, and the whole table is looked at."""
        types = {column.name: column.type_name for column in self._shape_of(table).columns}
        return self._column if types.get(self._column, "").startswith("timestamp") else ""

    def _look(self, connection: Connection) -> Look:
        """Take the oldest open transaction first, then the snapshot: one that starts between is younger than both."""
        row = connection.execute(statement("oldest_transaction")).fetchone()
        assert row is not None
        floor, hidden, prepared = row
        if hidden:
            raise ConfigurationError(
                f"{hidden} sessions do not show how long their transactions are open: no overlap can be proved; "
                "nothing was read",
                hint="grant pg_read_all_stats to banyan_reader",
            )
        if prepared:
            raise SourceUnavailable(
                f"{prepared} prepared transactions do not show when they began: no overlap can be proved; "
                "nothing was read",
                hint="run the same command again when they have ended",
            )
        head = read_head(connection)
        return Look(head.incarnation, head.snapshot, floor)


def _read_look(position: Position, here: Look) -> Look:
    try:
        read = json.loads(position)
        look = Look(str(read["incarnation"]), str(read["snapshot"]), str(read["floor"]))
    except (ValueError, KeyError, TypeError):
        raise SourceDrifted("a Position of this source cannot be read; no row was read") from None
    later = int(look.snapshot.split(":")[1]) > int(here.snapshot.split(":")[1])
    if look.incarnation != here.incarnation or later:
        raise SourceRestored(
            "the Position belongs to another incarnation of this database (restored or promoted); no row was read",
            hint=DECIDE,
        )
    return look
