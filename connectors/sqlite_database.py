"""A SQLite file that is read and written back: changes from a journal in the file and from looks, behind a fence.

A journal notes what each writer does, and whether it was the reverse applier; a look at every row, in the same
transaction as the last entry, finds what left no entry. A Position is both.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from hashlib import sha256
from pathlib import Path
from typing import Final
from uuid import UUID

import polars as pl

from banyan.errors import SourceDrifted
from banyan.ports import (
    NO_FENCE,
    Capabilities,
    FenceCapability,
    FenceKind,
    Incremental,
    SourceColumn,
    WriteBack,
)
from banyan.records import Batch, ChangedKey, KeyRange, Origin, Position
from connectors.dialects_sqlite import SqliteShape, fence_triggers, journal_triggers, named
from connectors.looks import Looks
from connectors.one_way import OneWayPort
from connectors.sqlite import SqliteTable, open_sqlite
from connectors.sqlite_cells import frame_of, read_shape, select_rows
from connectors.sqlite_connection import Connection, heal, reading, writing
from connectors.sqlite_door import WINDOW, Kind
from connectors.sqlite_journal import (
    Place,
    check_place,
    install_journal,
    installed_identity,
    is_followed,
    is_there,
    last_entry,
    plan_base,
    plan_triggers,
    read_entries,
    read_place,
    read_triggers,
    refuse_damage,
    remove_journal,
)
from connectors.sqlite_port import SqliteReader
from connectors.sqlite_reverse import Admission, SqliteReverseSession, open_reverse_session, reserve

_ROWS_A_LOOK: Final = 20_000
ONLINE_FENCE: Final = FenceCapability(
    FenceKind.ONLINE, blocks_new=True, waits_inflight=True, checks_token=True, probe=True, lease=True
)
CLOSED_WINDOW: Final = FenceCapability(
    FenceKind.CLOSED_WINDOW, blocks_new=True, waits_inflight=True, checks_token=True, probe=True, lease=False
)
_NOTES: Final[dict[Kind, str]] = {
    "triggers": "fence: triggers, whose lease counts on the clock of this machine: a file on a disk of its own",
    "closed_window": "fence: closed_window, the whole file is moved aside and waited for, without a lease: a file on "
    "a share, where no lock or trigger is trusted",
}


class SqliteDatabase:
    """One SQLite file, both ways; a file knows no accounts, so who may is a matter of the folder it stands in."""

    schema = ""

    def __init__(self, path: Path, encoding: str, fence: Kind, *, looks: Looks | None = None) -> None:
        self.path = path
        self.fence = fence
        self._encoding = encoding
        self._looks = looks
        self._reader = SqliteReader(path, encoding)
        self._rows = OneWayPort(self._reader)
        self._tables: dict[str, tuple[SqliteShape, SqliteTable]] = {}
        self._identity = ""

    def close(self) -> None:
        """Hold nothing open."""

    def tables(self) -> list[str]:
        """List the tables of the file."""
        return self._rows.tables()

    def columns(self, table: str) -> list[SourceColumn]:
        """List the columns of a table in the order of the source."""
        return self._rows.columns(table)

    def key_columns(self, table: str) -> tuple[str, ...]:
        """Name the columns of the primary key; empty when there is none."""
        return self._rows.key_columns(table)

    def count(self, table: str) -> int:
        """Count the rows of a table."""
        return self._rows.count(table)

    def plan_ranges(self, table: str, rows_per_chunk: int) -> list[KeyRange]:
        """Cut a table into key ranges that together hold every key, present or future."""
        return self._rows.plan_ranges(table, rows_per_chunk)

    def find_cut(self, table: str, keys: KeyRange, rows: int) -> str | None:
        """Find the key that ends the first rows of a range; None when the range holds no more than those."""
        return self._rows.find_cut(table, keys, rows)

    def shape(self, table: str) -> SqliteShape:
        """Give a table as the file describes it; a port opened later sees a changed table anew."""
        return self._table(table)[0]

    def capabilities(self, table: str) -> Capabilities:
        """Tell what this table can do today, as the triggers in the file allow, with the fence and why it is that."""
        shape, _ = self._table(table)
        with reading(self.path) as connection:
            is_noted = is_followed(connection, shape)
            is_fenced = self._is_fenced(connection, table)
        fence = CLOSED_WINDOW if self.fence == WINDOW else ONLINE_FENCE
        return Capabilities(
            incremental=Incremental.JOURNAL if is_noted else Incremental.NONE,
            write_back=WriteBack.SQL if shape.key else WriteBack.NONE,
            deletes_visible=is_noted,
            fence=fence if is_fenced else NO_FENCE,
            note=_NOTES[self.fence],
        )

    def incarnation(self) -> str:
        """Name this file on its disk, and the journal installed in it."""
        if not self._identity:
            with reading(self.path) as connection:
                installed = installed_identity(connection)
            self._identity = sha256(f"{self._reader.identity()} {installed}".encode()).hexdigest()
        return self._identity

    def head(self) -> Position:
        """Look at every row and give the last entry of the journal, both seen by one transaction."""
        heal(self.path)
        incarnation = self.incarnation()
        looked = ""
        with ExitStack() as held:
            seen: list[Connection] = []

            def connection() -> Connection:
                if not seen:  # not before the look has its turn: a later look never sees an older file
                    seen.append(held.enter_context(reading(self.path)))
                return seen[0]

            if self._looks is not None:
                looked = self._looks.look(incarnation, lambda table: self._hashes(connection(), table))
            entry, mark = last_entry(connection())
        return Place(incarnation, entry, mark, looked).position

    def read_range(self, table: str, keys: KeyRange) -> Batch:
        """Read the rows of a key range between a low and a high Position."""
        low = self._place()
        return Batch(table, self._reader.read_range(table, keys), low, self._place())

    def read_keys(self, table: str, keys: Sequence[str]) -> Batch:
        """Read the rows of the keys given, as they are now; an absent key has no row."""
        shape, opened = self.keyed(table)
        low = self._place()
        with reading(self.path) as connection:
            rows = [row for _, row in select_rows(connection, shape, opened, keys)]
        return Batch(table, frame_of(opened, shape, rows), low, self._place())

    def changes(self, since: Position, until: Position | None = None) -> list[ChangedKey]:
        """List each key that changed between two Positions, once; what left no entry counts as a person's."""
        incarnation = self.incarnation()
        low = read_place(since, incarnation)
        high = read_place(until if until is not None else self.head(), incarnation)
        with reading(self.path) as connection:
            tables = {name: self._table(name) for name in self._followed(connection)}
            refuse_damage(connection, tables)
            for place in (low, high):
                check_place(connection, place)
            found = read_entries(connection, low.entry, high.entry, tables)
        noted = {(change.table, change.key) for change in found}
        unnoted = [
            ChangedKey(one.table, one.key, one.operation, Origin.PERSON)
            for one in self._looked(incarnation, low, high)
            if (one.table, one.key) not in noted
        ]
        return found + unnoted

    def plan_capture(self, tables: Sequence[str]) -> list[str]:
        """Write the statements that would install the journal of these tables; runs none of them."""
        shapes = [self.keyed(table)[0] for table in tables]
        with reading(self.path) as connection:
            triggers = [trigger for shape in shapes for trigger in journal_triggers(shape)]
            return [*plan_base(), *plan_triggers(connection, triggers)]

    def install_capture(self, admin_url: str, tables: Sequence[str]) -> None:
        """Install the journal of these tables in one transaction; what is installed already stays."""
        for table in tables:
            self.keyed(table)
        with writing(Path(admin_url), "installing the capture") as connection:
            install_journal(connection, tables)
        self._identity = ""

    def remove_capture(self, admin_url: str, tables: Sequence[str] | None = None) -> None:
        """Remove the journal of these tables, or of all; Positions taken before become void with the last one."""
        with writing(Path(admin_url), "removing the capture") as connection:
            remove_journal(connection, tables)
        self._identity = ""

    def prune(self, before: Position) -> int:
        """Forget the changes up to a Position nobody needs any more; gives the number of entries removed."""
        place = read_place(before, self.incarnation())
        if self._looks is not None and place.looked:
            self._looks.prune(place.incarnation, Position(place.looked))
        with writing(self.path, "pruning the journal") as connection:
            check_place(connection, place)
            removed = connection.execute(named("prune"), (place.entry,)).rowcount
            connection.execute(named("note_pruned"), (place.entry,))
        return removed

    def reverse_session(self, closure: str, token: int, *, nonce: UUID) -> AbstractContextManager[SqliteReverseSession]:
        """Open a transaction for the reverse applier, refused unless the fence is shut under this token and nonce."""
        return open_reverse_session(self.path, self.keyed, Admission(closure, token, nonce))

    def rehearsal_session(
        self, closure: str, token: int, *, nonce: UUID
    ) -> AbstractContextManager[SqliteReverseSession]:
        """Open the same transaction under an open fence, and roll it back when left."""
        return open_reverse_session(self.path, self.keyed, Admission(closure, token, nonce, is_rehearsal=True))

    def reverse_position(self, route: str) -> Position | None:
        """Give the Position a route last committed in this file."""
        with reading(self.path) as connection:
            if not is_there(connection, "banyan_position"):
                return None
            found = connection.execute(named("reverse_position"), (route,)).fetchone()
        return Position(bytes(found[0]).decode()) if found else None

    def reserve_keys(self, counter: str, count: int) -> list[str]:
        """Take numbers for rows born in the target; `seq_person` counts the table `person` or `t_person`."""
        if count < 1:
            return []
        return reserve(self.path, self.tables(), lambda table: self._table(table)[0], counter, count=count)

    def _place(self) -> Position:
        """Give the last entry beside the last look: rows read now are as young as both."""
        looked = "" if self._looks is None else self._looks.last(self.incarnation(), self._hashes_alone)
        with reading(self.path) as connection:
            entry, mark = last_entry(connection)
        return Place(self.incarnation(), entry, mark, looked).position

    def _looked(self, incarnation: str, low: Place, high: Place) -> list[ChangedKey]:
        if self._looks is None or low.looked == high.looked:
            return []
        return self._looks.changes(incarnation, Position(low.looked), Position(high.looked), self._hashes_alone)

    def _hashes(self, connection: Connection, table: str) -> Iterator[pl.DataFrame]:
        assert self._looks is not None
        shape, opened = self.keyed(table)
        for rows in opened.read_in(connection, _ROWS_A_LOOK):
            yield self._looks.hash_rows(rows, shape.key)

    def _hashes_alone(self, table: str) -> Iterator[pl.DataFrame]:
        with reading(self.path) as connection:
            yield from self._hashes(connection, table)

    def _followed(self, connection: Connection) -> list[str]:
        """Name the tables whose entries are read: those with rules, or all that the file holds."""
        here = set(self.tables())
        wanted = self.tables() if self._looks is None else self._looks.tables
        return [name for name in wanted if name in here]

    def _is_fenced(self, connection: Connection, table: str) -> bool:
        if not is_there(connection, "banyan_fence"):
            return False
        fences = [(bytes(c).decode(), bytes(k).decode()) for c, k in connection.execute(named("fences"))]
        if self.fence == WINDOW:
            return any(kind == WINDOW for _, kind in fences)
        there = read_triggers(connection)
        return any(
            all(there.get(trigger.name) == trigger.text for trigger in fence_triggers(closure, (table,)))
            for closure, kind in fences
            if kind == self.fence
        )

    def keyed(self, table: str) -> tuple[SqliteShape, SqliteTable]:
        """Give a table that has a key, and how its values are read; refuses any other."""
        shape, opened = self._table(table)
        if not shape.is_journalled:
            raise SourceDrifted(
                f"{table} has no primary key, or one of too many columns: its rows cannot be followed; nothing was "
                "changed",
                hint="ask the department for a primary key, or for an extract as files",
                table=table,
            )
        return shape, opened

    def _table(self, table: str) -> tuple[SqliteShape, SqliteTable]:
        if table not in self._tables:
            opened = open_sqlite(self.path, table, self._encoding)
            with reading(self.path) as connection:
                self._tables[table] = read_shape(connection, table), opened
        return self._tables[table]


def open_sqlite_database(
    path: Path, fence: Kind, *, encoding: str = "utf-8", looks: Looks | None = None
) -> SqliteDatabase:
    """Open a SQLite file for reading and for write-back; nothing is opened before the first question."""
    return SqliteDatabase(Path(path), encoding, fence, looks=looks)
