"""Tables that neither log nor journal of a MariaDB can follow, compared row by row beside those that they follow.

A table that refers to itself loses rows inside the engine, to any depth; a key of floats stands exactly in no log.
The Position of such a source holds that of the log or journal, that of the last look, and which tables were looked at.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from banyan.errors import SourceDrifted
from banyan.ports import Incremental, KnownKeys
from banyan.records import ChangedKey, Position
from connectors.looks import Looks
from connectors.mariadb_capture import MariaDBCapture, OpenMariaDBCapture, Watched
from connectors.mariadb_connection import Connection, MariaDBConnections
from connectors.mariadb_shapes import read_foreign_keys, read_shape
from connectors.mariadb_snapshot import MariaDBSnapshot
from connectors.mariadb_sweep import compare_keys, read_keys


def open_beside(opened: OpenMariaDBCapture, looks: Looks, known: KnownKeys) -> OpenMariaDBCapture:
    """Give a way of capture that looks at the tables of `looks` which the other way can never follow."""
    return lambda reader, schema: MariaDBBeside(reader, schema, opened(reader, schema), looks=looks, known=known)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where log or journal stand, where the looks stand, and at which tables they looked."""

    way: Position
    looked: Position | None = None
    tables: tuple[str, ...] = ()

    @property
    def position(self) -> Position:
        """Write it; without a look it is that of log or journal alone."""
        if self.looked is None:
            return self.way
        return Position(json.dumps({"looked": self.looked, "tables": self.tables, "way": self.way}, sort_keys=True))


class MariaDBBeside:
    """A log or journal, and looks at what it can never follow; what it merely does not follow today is not hidden."""

    def __init__(
        self,
        reader: MariaDBConnections,
        schema: str,
        way: MariaDBCapture,
        *,
        looks: Looks,
        known: KnownKeys,
    ) -> None:
        self._reader = reader
        self._schema = schema
        self._way = way
        self._looks = looks
        self._known = known
        self._tables: tuple[str, ...] | None = None

    @property
    def incremental(self) -> Incremental:
        """Name the way of all other tables."""
        return self._way.incremental

    def incarnation(self, connection: Connection) -> str:
        """Name the history that log or journal name."""
        return self._way.incarnation(connection)

    def head(self, connection: Connection) -> Position:
        """Look at every row that must be looked at, and give the present Position of the rest."""
        return self._place(connection, lambda looks: looks.head(connection), self._way.head)

    def place(self, connection: Connection) -> Position:
        """Give the present Position beside the last look."""
        return self._place(connection, lambda looks: looks.place(connection), self._way.place)

    def changes(self, since: Position, until: Position | None, watched: Watched) -> list[ChangedKey]:
        """List each key that changed between two Positions, once; a table looked at on one side alone is read whole."""
        low = _read(since)
        if until is None:
            with self._reader.session("reading changes") as connection:
                until = self.head(connection)
        high = _read(until)
        looked_at = {*low.tables, *high.tables}
        told = [
            one
            for one in self._way.changes(low.way, high.way, _without(watched, looked_at))
            if one.table not in looked_at
        ]
        both = tuple(name for name in low.tables if name in high.tables)
        if low.looked is not None and high.looked is not None and both:
            looked = self._looking(high.tables).changes(low.looked, high.looked, watched)
            told += [one for one in looked if one.table in both]
        for table in () if self._looks.only_told else sorted({*low.tables} ^ {*high.tables}):
            told += self._sweep(table)
        return told

    def is_followed(self, connection: Connection, table: str, watched: Watched) -> bool:
        """Tell whether every change of a table is found today, by one way or the other."""
        return self.incremental_of(connection, table, watched) is not Incremental.NONE

    def incremental_of(self, connection: Connection, table: str, watched: Watched) -> Incremental:
        """Tell how the changes of a table are found today."""
        if table in self._looks.tables and table in _looked_at(self._way, watched):
            return Incremental.SNAPSHOT_DIFF
        return self._way.incremental_of(connection, table, watched)

    def unfollowable(self, watched: Watched) -> frozenset[str]:
        """Name the tables that neither way can ever follow: those without a key."""
        return self._way.unfollowable(watched) - _looked_at(self._way, watched)

    def plan(self, watched: Watched) -> list[str]:
        """Write the statements that install log or journal; looks install nothing."""
        return self._way.plan(watched)

    def removal(self, connection: Connection, tables: Sequence[str] | None) -> list[str]:
        """Write the statements that remove log or journal."""
        return self._way.removal(connection, tables)

    def prune(self, before: Position) -> int:
        """Forget what every reader has passed, in log or journal and in the looks; gives how many entries."""
        place = _read(before)
        forgotten = self._way.prune(place.way)
        if place.looked is not None:
            forgotten += self._looking(place.tables).prune(place.looked)
        return forgotten

    def _place(
        self,
        connection: Connection,
        look: Callable[[MariaDBSnapshot], Position],
        read: Callable[[Connection], Position],
    ) -> Position:
        tables = self._find_tables()
        looked = look(self._looking(tables)) if tables else None
        return _Place(read(connection), looked, tables).position

    def _looking(self, tables: Sequence[str]) -> MariaDBSnapshot:
        return MariaDBSnapshot(self._reader, self._schema, replace(self._looks, tables=tuple(tables)))

    def _find_tables(self) -> tuple[str, ...]:
        """Find the tables to look at, once; a port opened later sees the catalogue anew."""
        if self._tables is None:
            shapes = {}
            for name in self._looks.tables:
                try:
                    shapes[name] = read_shape(self._reader, self._schema, name)
                except SourceDrifted:  # gone: who reads it says so
                    continue
            watched = Watched(self._schema, shapes, read_foreign_keys(self._reader, self._schema))
            self._tables = tuple(sorted(_looked_at(self._way, watched)))
        return self._tables

    def _sweep(self, table: str) -> list[ChangedKey]:
        shape = read_shape(self._reader, self._schema, table)
        known = frozenset(self._known.find(table, shape.key))
        with self._reader.session("reading every key", table=table) as connection:
            return compare_keys(table, known, read_keys(connection, shape))


def _looked_at(way: MariaDBCapture, watched: Watched) -> frozenset[str]:
    return frozenset(name for name in way.unfollowable(watched) if watched.shapes[name].key)


def _without(watched: Watched, tables: set[str]) -> Watched:
    shapes = {name: shape for name, shape in watched.shapes.items() if name not in tables}
    return Watched(watched.schema, shapes, watched.keys, tuple(name for name in watched.gone if name not in tables))


def _read(position: Position) -> _Place:
    try:
        told = json.loads(position)
        if "way" not in told:
            return _Place(position)
        tables = tuple(str(name) for name in told["tables"])
        return _Place(Position(str(told["way"])), Position(str(told["looked"])), tables)
    except (ValueError, KeyError, TypeError):
        return _Place(position)  # the other way says what is wrong with it
