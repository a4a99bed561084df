"""Tables of a SQLite file, value by value: storage class and bytes.

SQLite keeps in each cell a class of its own, whatever the column declares: `abc` stands in an integer column as text.
A text is decoded strictly under the declared encoding, and what is no text under it is carried as its bytes behind a
mark (`banyan.undecoded`); an integer is given in decimal digits, a real as the shortest text of its double, a blob as
`0x` and hexadecimal, NULL as null. The class itself is in `_storage`, one letter for each
column (n null, i integer, r real, t text, b blob), so that the cell can be written back byte for byte.

The file is opened read-only and read in one transaction.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import polars as pl
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import dialect as sqlite_dialect

from banyan.errors import SourceDrifted, SourceUnreadable
from banyan.undecoded import MARK, find_bytes, read_text
from connectors.lines import checked_encoding
from connectors.sqlite_connection import Connection, Text, Value, reading

RECNO = "_recno"
STORAGE = "_storage"
_LETTERS: Final = {type(None): ord("n"), Text: ord("t"), bytes: ord("b"), float: ord("r"), int: ord("i")}


@dataclass(frozen=True, slots=True)
class SqliteTable:
    """One table whose columns were read; `count_declared` is what the file counted at opening."""

    path: Path
    table: str
    encoding: str
    columns: tuple[str, ...]
    count_declared: int
    order: tuple[str, ...]

    def read(self, batch_rows: int, *, recno: bool = False, storage: bool = False) -> Iterator[pl.DataFrame]:
        """Give the rows in the order of their key.

        `storage=True` adds `_storage`, `recno=True` adds `_recno`, the number of the row from 1 in that order. Another
        number of rows than the file counts in the same transaction is refused.
        """
        read = 0
        with reading(self.path) as connection:
            counted = _count(connection, self.table)
            cursor = connection.execute(_select(self.table, self.columns, self.order))
            while rows := cursor.fetchmany(batch_rows):
                yield self.frame(rows, read, recno=recno, storage=storage)
                read += len(rows)
        if read != counted:
            raise SourceUnreadable(
                f"{self.path.name}, table {self.table}: {read} rows were read, the file counts {counted}; the batches "
                "already given must be thrown away",
                hint="check the file: PRAGMA integrity_check",
                file=self.path.name,
                table=self.table,
            )

    def texts(self, query: str, values: Sequence[str], names: Sequence[str], *, storage: bool = False) -> pl.DataFrame:
        """Read the rows of a statement that gives these columns, values as they stand in the file."""
        with reading(self.path) as connection:
            rows = connection.execute(query, [self.bound(value) for value in values]).fetchall()
        return self.frame(rows, 0, names=names, storage=storage)

    def read_in(self, connection: Connection, batch_rows: int) -> Iterator[pl.DataFrame]:
        """Give the rows with the class of each value, as a transaction of the caller sees them."""
        cursor = connection.execute(_select(self.table, self.columns, self.order))
        while rows := cursor.fetchmany(batch_rows):
            yield self.frame(rows, 0, storage=True)

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """Run a statement about the table."""
        with reading(self.path) as connection:
            return connection.execute(query).fetchall()

    def declarations(self) -> list[tuple[str, str, bool]]:
        """Give the name of each column, the type it declares and nothing enforces, and whether it may be empty."""
        with reading(self.path) as connection:
            query = 'SELECT name, type, "notnull" FROM pragma_table_xinfo(?) ORDER BY cid'
            found = connection.execute(query, (self.table,)).fetchall()
        return [
            (bytes(name).decode(), bytes(declared).decode(), not is_not_null) for name, declared, is_not_null in found
        ]

    def frame(
        self,
        rows: list[tuple[Value, ...]],
        first: int,
        *,
        names: Sequence[str] = (),
        recno: bool = False,
        storage: bool = False,
    ) -> pl.DataFrame:
        """Give rows that were read elsewhere as texts; `first` is the number of the row before them."""
        named = names or self.columns
        columns: list[tuple[Value, ...]] = list(zip(*rows, strict=True)) if rows else [()] * len(named)
        series = [self._texts(name, cells) for name, cells in zip(named, columns, strict=True)]
        if storage:
            series.append(_letters(columns, len(rows)))
        if recno:
            series.append(pl.int_range(first + 1, first + len(rows) + 1, eager=True).cast(pl.String).alias(RECNO))
        return pl.DataFrame(series)

    def _texts(self, name: str, cells: tuple[Value, ...]) -> pl.Series:
        """Give the raw texts of a column: all at once where its cells are of one class, otherwise one by one."""
        kinds = set(map(type, cells)) - {type(None)}
        if kinds == {int}:
            return pl.Series(name, cells, dtype=pl.Int64).cast(pl.String)
        if kinds == {Text} and self.encoding == "utf-8":
            with suppress(pl.exceptions.ComputeError):  # bytes that spell no text: each cell is read by itself
                return _decoded(name, cast(tuple[bytearray | None, ...], cells))
        return pl.Series(name, [self.text(cell) for cell in cells], dtype=pl.String)

    def bound(self, text: str) -> str | bytes:
        """Give a raw text as it is bound where it is cast to a text: as itself, or as the bytes of another encoding."""
        if (raw := find_bytes(text)) is not None:
            return raw
        try:
            return text if text.isascii() or self.encoding == "utf-8" else text.encode(self.encoding)
        except UnicodeEncodeError:  # no cell of this file spells it: it finds nothing
            return text

    def text(self, cell: Value) -> str | None:
        """Give the raw text of one cell."""
        match cell:
            case None:
                return None
            case Text():
                return read_text(bytes(cell), self.encoding)
            case bytes():
                return "0x" + cell.hex()
            case float():
                return repr(cell)
            case _:
                return str(cell)


def open_sqlite(path: Path, table: str, encoding: str) -> SqliteTable:
    """Read the columns of a table and count its rows; the file is opened read-only and is not changed.

    Rows come in the order of the primary key, of the rowid when there is none.
    """
    path, encoding = Path(path), checked_encoding(encoding)
    with reading(path) as connection:
        found = connection.execute("SELECT name, pk FROM pragma_table_xinfo(?) ORDER BY cid", (table,)).fetchall()
        if not found:
            raise SourceDrifted(
                f"{path.name} has no table {table}; nothing was read",
                hint="correct the name of the table in the rules",
                file=path.name,
                table=table,
            )
        count = _count(connection, table)
    columns = tuple(bytes(name).decode() for name, _ in found)
    keys = sorted((place, name) for name, (_, place) in zip(columns, found, strict=True) if place)
    return SqliteTable(path, table, encoding, columns, count, tuple(name for _, name in keys))


def list_tables(path: Path) -> list[str]:
    """List the tables of a file, without those that SQLite and banyan keep for themselves."""
    query = (
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' "
        "AND name NOT LIKE 'banyan\\_%' ESCAPE '\\'"
    )
    with reading(Path(path)) as connection:
        return sorted(bytes(name).decode() for (name,) in connection.execute(query))


def _select(table: str, columns: tuple[str, ...], order: tuple[str, ...]) -> str:
    keys: list[sa.ColumnElement[Any]] = [sa.column(_quoted(name)) for name in order] or [sa.literal_column("rowid")]
    cells: list[sa.ColumnElement[Any]] = [sa.column(_quoted(name)) for name in columns]
    statement = sa.select(*cells).select_from(sa.table(_quoted(table)))
    return str(statement.order_by(*keys).compile(dialect=sqlite_dialect(paramstyle="qmark")))


def _count(connection: Connection, table: str) -> int:
    statement = sa.select(sa.func.count()).select_from(sa.table(_quoted(table)))
    (count,) = connection.execute(str(statement.compile(dialect=sqlite_dialect()))).fetchone()
    return int(count)


def _quoted(name: str) -> sa.quoted_name:
    return sa.quoted_name(name, quote=True)


def _decoded(name: str, cells: tuple[bytearray | None, ...]) -> pl.Series:
    """Decode texts in UTF-8 all at once; ComputeError where one of them is none, or holds the mark of what is none."""
    texts = [b"" if cell is None else cell for cell in cells]
    content = b"".join(texts)
    if MARK.encode() in content:
        raise pl.exceptions.ComputeError
    present = pa.array([cell is not None for cell in cells]).buffers()[1] if None in cells else None
    offsets = np.zeros(len(texts) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)), out=offsets[1:])
    buffers = [present, pa.py_buffer(offsets), pa.py_buffer(content)]
    written = pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(cells), buffers)
    return pl.Series(name, written).cast(pl.String)


def _letters(columns: list[tuple[Value, ...]], count: int) -> pl.Series:
    """Write the class of each cell of each row, a letter a column."""
    told = [np.frombuffer(bytes(map(_LETTERS.__getitem__, map(type, cells))), np.uint8) for cells in columns]
    content = np.stack(told, axis=1).tobytes()
    offsets = np.arange(count + 1, dtype=np.int64) * len(columns)
    written = pa.LargeStringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(content))
    return pl.Series(STORAGE, written)
