"""Several SQLite files of one legacy system, both ways: the same keys stand in all of them, so each table has its file.

A table is named `<file>/<table>`. Each file has its own journal; one look goes through all of them. A Position holds
the place of every file. Behind the fence the way back writes each row into its own file, and into no other one.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Final
from uuid import UUID

import polars as pl

from banyan.errors import SourceDrifted, SourceRestored, UsageError
from banyan.ports import Capabilities, SourceColumn
from banyan.records import Batch, ChangedKey, KeyRange, Origin, Position
from connectors.looks import Looks
from connectors.sqlite_connection import Connection, heal, reading
from connectors.sqlite_database import SqliteDatabase
from connectors.sqlite_door import Kind
from connectors.sqlite_files_reverse import FilesReverseSession, open_files_session
from connectors.sqlite_journal import Place, last_entry
from connectors.sqlite_reverse import Admission

_ROWS_A_LOOK: Final = 20_000
_COUNTER: Final = "seq_"


@dataclass(frozen=True, slots=True)
class Places:
    """The place of each file in its history, and what the last look saw."""

    files: Mapping[str, Position]
    looked: str

    @property
    def position(self) -> Position:
        """Give it as the opaque text callers keep."""
        return Position(json.dumps({"files": dict(self.files), "looked": self.looked}, sort_keys=True))


class SqliteFiles:
    """The files of one legacy system, by the name their tables bear."""

    schema = ""

    def __init__(self, files: Mapping[str, SqliteDatabase], fence: Kind, *, looks: Looks | None = None) -> None:
        self.files = dict(files)
        self.fence = fence
        self._looks = looks

    def close(self) -> None:
        """Hold nothing open."""

    def tables(self) -> list[str]:
        """List the tables of all files, each with the name of its file."""
        return [f"{name}/{table}" for name, file in self.files.items() for table in file.tables()]

    def columns(self, table: str) -> list[SourceColumn]:
        """List the columns of a table in the order of the source."""
        file, name = self.split(table)
        return file.columns(name)

    def key_columns(self, table: str) -> tuple[str, ...]:
        """Name the columns of the primary key; empty when there is none."""
        file, name = self.split(table)
        return file.key_columns(name)

    def count(self, table: str) -> int:
        """Count the rows of a table."""
        file, name = self.split(table)
        return file.count(name)

    def plan_ranges(self, table: str, rows_per_chunk: int) -> list[KeyRange]:
        """Cut a table into key ranges that together hold every key, present or future."""
        file, name = self.split(table)
        return file.plan_ranges(name, rows_per_chunk)

    def find_cut(self, table: str, keys: KeyRange, rows: int) -> str | None:
        """Find the key that ends the first rows of a range; None when the range holds no more than those."""
        file, name = self.split(table)
        return file.find_cut(name, keys, rows)

    def capabilities(self, table: str) -> Capabilities:
        """Tell what this table can do today, as the triggers in its file allow."""
        file, name = self.split(table)
        return file.capabilities(name)

    def incarnation(self) -> str:
        """Name the files on their disk, and the journals installed in them."""
        told = [f"{name} {file.incarnation()}" for name, file in sorted(self.files.items())]
        return sha256("\n".join(told).encode()).hexdigest()

    def head(self) -> Position:
        """Look at every row and give the last entry of each journal: both of a file seen by one transaction."""
        for file in self.files.values():
            heal(file.path)
        looked = ""
        with ExitStack() as held:
            seen: dict[str, Connection] = {}

            def connection(name: str) -> Connection:
                if name not in seen:  # not before the look has its turn: a later look never sees an older file
                    seen[name] = held.enter_context(reading(self.files[name].path))
                return seen[name]

            if self._looks is not None:
                looked = self._looks.look(
                    self.incarnation(), lambda table: self._hashes(connection(table.partition("/")[0]), table)
                )
            return Places({name: self._last(name, connection(name)) for name in self.files}, looked).position

    def read_range(self, table: str, keys: KeyRange) -> Batch:
        """Read the rows of a key range between a low and a high Position."""
        file, name = self.split(table)
        return self._between(table, lambda: file.read_range(name, keys))

    def read_keys(self, table: str, keys: Sequence[str]) -> Batch:
        """Read the rows of the keys given, as they are now; an absent key has no row."""
        file, name = self.split(table)
        return self._between(table, lambda: file.read_keys(name, keys))

    def changes(self, since: Position, until: Position | None = None) -> list[ChangedKey]:
        """List each key that changed between two Positions, once; what left no entry counts as a person's."""
        low = self._read(since)
        high = self._read(until if until is not None else self.head())
        found: list[ChangedKey] = []
        for name, file in self.files.items():
            with _naming(name):
                noted = file.changes(low.files[name], high.files[name])
            found += [replace(change, table=f"{name}/{change.table}") for change in noted]
        known = {(change.table, change.key) for change in found}
        return found + [
            ChangedKey(one.table, one.key, one.operation, Origin.PERSON)
            for one in self._looked(low, high)
            if (one.table, one.key) not in known
        ]

    def plan_capture(self, tables: Sequence[str]) -> list[str]:
        """Write the statements that would install the journals of these tables, file by file; runs none of them."""
        lines = []
        for name, those in tables_by_file(tables).items():
            lines += [f"-- in {self.files[name].path.name}", *self.files[name].plan_capture(those)]
        return lines

    def install_capture(self, admin_url: str, tables: Sequence[str]) -> None:
        """Install the journals of these tables, each file in one transaction; what is installed already stays."""
        for name, those in tables_by_file(tables).items():
            with _naming(name):
                self.files[name].install_capture(str(Path(admin_url) / self.files[name].path.name), those)

    def remove_capture(self, admin_url: str, tables: Sequence[str] | None = None) -> None:
        """Remove the journals of these tables, or all; Positions taken before become void with the last one."""
        for name, file in self.files.items():
            those = None if tables is None else tables_by_file(tables).get(name, [])
            if those is None or those:
                file.remove_capture(str(Path(admin_url) / file.path.name), those)

    def prune(self, before: Position) -> int:
        """Forget the changes up to a Position nobody needs any more; gives the number of entries removed."""
        places = self._read(before)
        if self._looks is not None and places.looked:
            self._looks.prune(self.incarnation(), Position(places.looked))
        return sum(file.prune(places.files[name]) for name, file in self.files.items())

    def reverse_session(self, closure: str, token: int, *, nonce: UUID) -> AbstractContextManager[FilesReverseSession]:
        """Open a transaction in each file that is written, refused unless its fence is shut under this token and nonce.

        The first file holds the Position and is committed last: what fails before is done again, and changes nothing.
        """
        return open_files_session(self.files, Admission(closure, token, nonce))

    def rehearsal_session(
        self, closure: str, token: int, *, nonce: UUID
    ) -> AbstractContextManager[FilesReverseSession]:
        """Open the same transactions under an open fence, and roll them back when left."""
        return open_files_session(self.files, Admission(closure, token, nonce, is_rehearsal=True))

    def reverse_position(self, route: str) -> Position | None:
        """Give the Position a route last committed in all files."""
        return next(iter(self.files.values())).reverse_position(route)

    def reserve_keys(self, counter: str, count: int) -> list[str]:
        """Take numbers for rows born in the target, of the file that the counter names: `seq_480010/AFFAIRES`."""
        file, name = self.split(counter.removeprefix(_COUNTER))
        return file.reserve_keys(f"{_COUNTER}{name}", count)

    def split(self, table: str) -> tuple[SqliteDatabase, str]:
        """Give the file of a table, and its name there."""
        file, _, name = table.partition("/")
        if file not in self.files or not name:
            known = ", ".join(self.files)
            raise UsageError(
                f"{table!r} is no table of these files; nothing was read",
                hint=f"name it with its file, as in {next(iter(self.files))}/AFFAIRES; there are {known}",
            )
        return self.files[file], name

    def _between(self, table: str, read: Callable[[], Batch]) -> Batch:
        """Read between two places of the file; those of the others are as they were before."""
        file = table.partition("/")[0]
        others = {name: self._now(name) for name in self.files if name != file}
        low = self._last_look()
        with _naming(file):
            batch = read()
        high = self._last_look()
        return Batch(
            table,
            batch.rows,
            Places({**others, file: batch.low}, low).position,
            Places({**others, file: batch.high}, high).position,
        )

    def _now(self, name: str) -> Position:
        with reading(self.files[name].path) as connection:
            return self._last(name, connection)

    def _last(self, name: str, connection: Connection) -> Position:
        entry, mark = last_entry(connection)
        return Place(self.files[name].incarnation(), entry, mark).position

    def _last_look(self) -> str:
        return "" if self._looks is None else self._looks.last(self.incarnation(), self._hashes_alone)

    def _looked(self, low: Places, high: Places) -> list[ChangedKey]:
        if self._looks is None or low.looked == high.looked:
            return []
        return self._looks.changes(self.incarnation(), Position(low.looked), Position(high.looked), self._hashes_alone)

    def _hashes(self, connection: Connection, table: str) -> Iterator[pl.DataFrame]:
        assert self._looks is not None
        file, name = self.split(table)
        with _naming(table.partition("/")[0]):
            shape, opened = file.keyed(name)
        for rows in opened.read_in(connection, _ROWS_A_LOOK):
            yield self._looks.hash_rows(rows, shape.key)

    def _hashes_alone(self, table: str) -> Iterator[pl.DataFrame]:
        with reading(self.split(table)[0].path) as connection:
            yield from self._hashes(connection, table)

    def _read(self, position: Position) -> Places:
        try:
            told = json.loads(position)
            places = Places({str(k): Position(str(v)) for k, v in told["files"].items()}, str(told["looked"]))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise SourceDrifted("a Position of these files cannot be read; nothing was read from a journal") from None
        if set(places.files) != set(self.files):
            strange = ", ".join(sorted(set(places.files) ^ set(self.files)))
            raise SourceRestored(
                f"the Position knows other files than banyan.yaml does ({strange}); nothing was read",
                hint="put the list of files back; a file that comes later is a legacy system of its own",
                files=strange,
            )
        return places


def tables_by_file(tables: Sequence[str]) -> dict[str, list[str]]:
    """Give the tables of each file by their names there, in the order of their files."""
    found: dict[str, list[str]] = {}
    for table in tables:
        file, _, name = table.partition("/")
        found.setdefault(file, []).append(name)
    return found


@contextmanager
def _naming(file: str) -> Iterator[None]:
    """Say of which file is spoken."""
    try:
        yield
    except SourceDrifted as error:
        raise type(error)(f"{file}: {error.message}", hint=error.hint, **{**error.facts, "file": file}) from error


def open_sqlite_files(
    paths: Mapping[str, Path], fence: Kind, *, encoding: str = "utf-8", looks: Looks | None = None
) -> SqliteFiles:
    """Open several SQLite files for reading and for write-back; nothing is opened before the first question."""
    files = {name: SqliteDatabase(path, encoding, fence) for name, path in paths.items()}
    return SqliteFiles(files, fence, looks=looks)
