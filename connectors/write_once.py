"""A legacy system handed over as files that nobody writes again: DBF tables, delimited text, sheets of workbooks.

The key of a row is the number of its record, `$recno`, as text: it names the row for as long as the file is the same.
So the Position of such a system is the identity of its files (size and SHA-256), nothing ever changes between two
Positions, and a file that is not the one it was is refused, loudly and before anything is passed on. Nothing is
written back, and there is no fence: who may not write any more is a matter of the runbook.

A DBF table has one more column, `$deleted`: the byte of the record, a star when it is deleted.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import NoReturn, assert_never
from uuid import UUID

import polars as pl

from banyan.errors import SourceDrifted, SourceUnavailable, UsageError
from banyan.ports import Capabilities, Incremental, ReverseSession, SourceColumn, WriteBack
from banyan.records import Batch, ChangedKey, KeyRange, Position
from connectors import dbf, delimited, spreadsheet

RECNO = "$recno"
DELETED = "$deleted"

_BATCH_ROWS = 10_000
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class DbfFile:
    """A DBF table and its encoding."""

    path: Path
    encoding: str


@dataclass(frozen=True, slots=True)
class TextFile:
    """A delimited text and its form."""

    path: Path
    form: delimited.DelimitedFormat


@dataclass(frozen=True, slots=True)
class SheetFile:
    """One sheet of a workbook."""

    path: Path
    sheet: str


WriteOnceFile = DbfFile | TextFile | SheetFile
_Reader = dbf.DbfTable | delimited.DelimitedFile | spreadsheet.SheetTable


@dataclass(frozen=True, slots=True)
class _Stamp:
    """What the file system says of a file; the time of change of the inode cannot be set by a program."""

    inode: int
    size: int
    modified_ns: int
    changed_ns: int


@dataclass(slots=True)
class _Table:
    """One file whose header was checked, its identity, and how far it was read."""

    file: WriteOnceFile
    reader: _Reader = field(repr=False)
    stamp: _Stamp
    sha256: str
    count: int | None
    at: int = 0
    frames: Iterator[pl.DataFrame] | None = field(default=None, repr=False)


def open_write_once(files: Mapping[str, WriteOnceFile]) -> "WriteOncePort":
    """Open the files of a legacy system by table name: check each header, count, digest; no file is changed.

    A cut or damaged file is refused here, before any row of any of them is read.
    """
    if not files:
        raise UsageError("no file was named; nothing was opened", hint="name at least one table and its file")
    return WriteOncePort({name: _open(file) for name, file in files.items()})


class WriteOncePort:
    """Reads write-once files as a legacy system; refuses everything that would change it."""

    def __init__(self, tables: Mapping[str, _Table]) -> None:
        self._tables = dict(tables)

    def tables(self) -> list[str]:
        """List the tables."""
        return sorted(self._tables)

    def columns(self, table: str) -> list[SourceColumn]:
        """List the columns: the record number, those of the file, and for DBF the flag of deletion."""
        found = self._table(table)
        names = (RECNO, *found.reader.columns, *([DELETED] if isinstance(found.file, DbfFile) else []))
        return [SourceColumn(name, "text", is_nullable=isinstance(found.file, DbfFile)) for name in names]

    def key_columns(self, table: str) -> tuple[str, ...]:
        """Name the key: the record number."""
        self._table(table)
        return (RECNO,)

    def capabilities(self, table: str) -> Capabilities:
        """Tell that rows are read once, and that only DBF shows what was deleted."""
        is_dbf = isinstance(self._table(table).file, DbfFile)
        return Capabilities(Incremental.NONE, WriteBack.NONE, deletes_visible=is_dbf)

    def incarnation(self) -> str:
        """Name this set of files by what they hold."""
        return hashlib.sha256(self._identity().encode()).hexdigest()

    def head(self) -> Position:
        """Give the identity of all files: size and SHA-256; refuse when one is not the file that was opened."""
        self._refuse_change(self._tables)
        return Position(self._identity())

    def count(self, table: str) -> int:
        """Count the records, deleted ones included."""
        found = self._table(table)
        if found.count is None:
            found.count = sum(frame.height for frame in found.reader.read(_BATCH_ROWS))
        self._refuse_change((table,))
        return found.count

    def plan_ranges(self, table: str, rows_per_chunk: int) -> list[KeyRange]:
        """Cut a table into ranges of record numbers; the first and the last one are open."""
        if rows_per_chunk < 1:
            raise UsageError("a chunk holds at least one row; nothing was planned")
        cuts = [str(number) for number in range(rows_per_chunk, self.count(table), rows_per_chunk)]
        return [KeyRange(low, high) for low, high in zip([None, *cuts], [*cuts, None], strict=True)]

    def read_range(self, table: str, keys: KeyRange) -> Batch:
        """Read records above `low` up to and including `high`; ranges read in order cost one pass over the file."""
        low = 0 if keys.low is None else _number(keys.low)
        high = None if keys.high is None else _number(keys.high)
        rows = self._rows(table, low, high)
        return self._batch(table, rows)

    def read_keys(self, table: str, keys: Sequence[str]) -> Batch:
        """Read single records; a number beyond the last record has no row."""
        numbers = [_number(key) for key in keys]
        rows = self._rows(table, max(min(numbers, default=1), 1) - 1, max(numbers, default=0))
        return self._batch(table, rows.filter(pl.col(RECNO).is_in(list(keys))))

    def changes(self, since: Position, until: Position | None = None) -> list[ChangedKey]:
        """Find nothing: no record of these files ever changes. Refuse Positions of other files than these."""
        here = self.head()
        if since != here or (until is not None and until != here):
            raise SourceDrifted(
                "the files are not the ones that were read before: a record number names another row now; "
                "nothing was read",
                hint="give the new files a table name of their own, or put the old ones back",
                incarnation=self.incarnation(),
            )
        return []

    def reverse_session(self, closure: str, token: int, *, nonce: UUID) -> AbstractContextManager[ReverseSession]:
        """Refuse: nothing is written back to files that are written once."""
        self._refuse_writing()

    def reverse_position(self, route: str) -> Position | None:
        """Give none: no route leads back."""
        return None

    def reserve_keys(self, counter: str, count: int) -> list[str]:
        """Refuse: a record number is never reserved."""
        self._refuse_writing()

    def _rows(self, table: str, low: int, high: int | None) -> pl.DataFrame:
        """Read records low + 1 to high, going on from where the last reading stopped."""
        found = self._table(table)
        self._refuse_change((table,))
        frames, at = found.frames, found.at
        if frames is None or at > low:
            frames, at = found.reader.read(_BATCH_ROWS, recno=True), 0
        found.frames = None
        taken = [self._no_rows(table)]
        while high is None or at < high:
            frame = next(frames, None)
            if frame is None:
                frames = None
                break
            first, last = max(low - at, 0), frame.height if high is None else min(high - at, frame.height)
            if last > first:
                taken.append(self._named(table, frame.slice(first, last - first)))
            at += min(last, frame.height)
            if last < frame.height:
                frames = chain([frame.slice(last)], frames)
        found.frames, found.at = frames, at
        self._refuse_change((table,))
        return pl.concat(taken)

    def _named(self, table: str, frame: pl.DataFrame) -> pl.DataFrame:
        renamed = frame.rename({dbf.RECNO: RECNO, dbf.DELETED: DELETED}, strict=False)
        return renamed.select(column.name for column in self.columns(table))

    def _no_rows(self, table: str) -> pl.DataFrame:
        return pl.DataFrame(schema={column.name: pl.String for column in self.columns(table)})

    def _batch(self, table: str, rows: pl.DataFrame) -> Batch:
        position = Position(self._identity())
        return Batch(table, rows, low=position, high=position)

    def _identity(self) -> str:
        told = [f"{name}={found.stamp.size}:{found.sha256}" for name, found in sorted(self._tables.items())]
        return "write-once " + " ".join(told)

    def _table(self, table: str) -> _Table:
        if table not in self._tables:
            raise UsageError(f"there is no file for {table}; there are: {', '.join(self.tables())}", table=table)
        return self._tables[table]

    def _refuse_change(self, names: Sequence[str] | Mapping[str, _Table]) -> None:
        """Compare each file with the one that was opened; its bytes are read again only when it was touched."""
        for name in names:
            found = self._tables[name]
            stamp = _stamp_of(found.file.path)
            if stamp == found.stamp:
                continue
            if stamp.size != found.stamp.size or _sha256_of(found.file.path) != found.sha256:
                raise SourceDrifted(
                    f"{found.file.path.name} is not the file that was opened: it was written since; what was read of "
                    "it before must be thrown away, nothing more was passed on",
                    hint="take a copy of the file while nobody writes, then load the copy",
                    file=found.file.path.name,
                    table=name,
                )
            found.stamp = stamp

    def _refuse_writing(self) -> NoReturn:
        raise UsageError(
            "these files are written once: nothing is written back to them; they were left as they are",
            hint="banyan source capabilities says what each table allows",
        )


def _open(file: WriteOnceFile) -> _Table:
    before = _stamp_of(file.path)
    reader: _Reader
    match file:
        case DbfFile():
            reader = dbf.open_dbf(file.path, file.encoding)
        case TextFile():
            reader = delimited.open_delimited(file.path, file.form)
        case SheetFile():
            reader = spreadsheet.open_sheet(file.path, file.sheet)
        case _:
            assert_never(file)
    reserved = sorted({RECNO, DELETED} & set(reader.columns))
    sha256 = _sha256_of(file.path)
    if reserved or _stamp_of(file.path) != before:
        problem = f"has columns with reserved names {reserved}" if reserved else "was written while it was opened"
        raise SourceDrifted(f"{file.path.name} {problem}; nothing was read", file=file.path.name)
    return _Table(file, reader, before, sha256, reader.count_declared)


def _stamp_of(path: Path) -> _Stamp:
    try:
        status = path.stat()
    except OSError as error:
        raise SourceUnavailable(
            f"{path.name} cannot be opened: {error.strerror}; nothing was read",
            hint="check the path and the rights of the reader",
            file=path.name,
        ) from error
    return _Stamp(status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _number(key: str) -> int:
    if not (key.isascii() and key.isdigit()):
        raise UsageError("a key of a write-once file is the number of a record; nothing was read")
    return int(key)
