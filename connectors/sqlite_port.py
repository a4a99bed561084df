"""A SQLite file as a legacy system: rows as raw text one way, changes by looking, where classes of values count too.

Raw text does not tell the number 5 from the text `5`; a look does, so that a value that changed its class is a change.
The file is opened read-only for each reading, in one transaction: who works with it is never kept waiting.
"""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from banyan.errors import SourceUnavailable
from banyan.ports import SourceColumn
from banyan.records import KEY_SEPARATOR, KeyRange
from connectors.dialects_makes import SQLITE
from connectors.dialects_odbc import OdbcColumn, OdbcQuery, OdbcShape, count_rows, select_bare, select_bare_step
from connectors.looks import Looks
from connectors.one_way import OneWayPort
from connectors.sqlite import SqliteTable, list_tables, open_sqlite
from connectors.sqlite_connection import place_of

_KEYS_A_QUERY = 200


class SqliteReader:
    """One SQLite file."""

    note = ""

    def __init__(self, path: Path, encoding: str) -> None:
        self._path = path
        self._encoding = encoding
        self._opened: dict[str, tuple[SqliteTable, OdbcShape]] = {}

    def tables(self) -> list[str]:
        """List the tables of the file."""
        return list_tables(self._path)

    def columns(self, table: str) -> list[SourceColumn]:
        """List the columns of a table, with the types they declare and nothing enforces."""
        return [SourceColumn(c.name, c.type_name, c.is_nullable) for c in self._table(table)[1].columns]

    def key_columns(self, table: str) -> tuple[str, ...]:
        """Name the columns of the primary key; empty when there is none: a rowid names another row after a VACUUM."""
        return self._table(table)[1].key

    def is_ordered(self, table: str) -> bool:
        """Tell whether key ranges can be cut."""
        return self._table(table)[1].is_ordered

    def count(self, table: str) -> int:
        """Count the rows of a table."""
        opened, shape = self._table(table)
        return int(opened.ask(count_rows(shape).query)[0][0])

    def find_step(self, table: str, keys: KeyRange, rows: int) -> str | None:
        """Give the key that is `rows` rows after the low end of a range; None when it holds fewer."""
        opened, shape = self._table(table)
        asked = select_bare_step(shape, keys, rows)
        found = opened.texts(asked.query, asked.values, shape.key)
        return KEY_SEPARATOR.join(str(part) for part in found.row(0)) if found.height else None

    def read_range(self, table: str, keys: KeyRange) -> pl.DataFrame:
        """Read the raw texts of the rows of a key range."""
        opened, shape = self._table(table)
        return self._read(opened, select_bare(shape, keys))

    def read_keys(self, table: str, keys: Sequence[str]) -> pl.DataFrame:
        """Read the raw texts of the rows whose key is exactly one of those given."""
        opened, shape = self._table(table)
        frames = [self._read(opened, select_bare(shape, keys[at : at + _KEYS_A_QUERY]))
                  for at in range(0, max(len(keys), 1), _KEYS_A_QUERY)]  # fmt: skip
        key = pl.concat_str(list(shape.key), separator=KEY_SEPARATOR)
        return pl.concat(frames).filter(key.is_in(pl.Series(list(keys), dtype=pl.String).implode()))

    def read_to_compare(self, table: str, keys: KeyRange) -> pl.DataFrame:
        """Read the rows of a key range with the class of each value."""
        opened, shape = self._table(table)
        asked = select_bare(shape, keys)
        return opened.texts(asked.query, asked.values, opened.columns, storage=True)

    def identity(self) -> str:
        """Name the file on its disk; another file put in its place is another one."""
        try:
            status = place_of(self._path).stat()
        except OSError as error:
            raise SourceUnavailable(
                f"{self._path.name} cannot be opened: {error.strerror}; nothing was read",
                hint="check the path and the rights of the reader",
                file=self._path.name,
            ) from error
        return f"sqlite {status.st_dev}:{status.st_ino}"

    def close(self) -> None:
        """Hold nothing open."""

    def _read(self, opened: SqliteTable, asked: OdbcQuery) -> pl.DataFrame:
        return opened.texts(asked.query, asked.values, opened.columns)

    def _table(self, table: str) -> tuple[SqliteTable, OdbcShape]:
        if table not in self._opened:
            opened = open_sqlite(self._path, table, self._encoding)
            columns = tuple(
                OdbcColumn(name, declared.lower(), 0, is_nullable)
                for name, declared, is_nullable in opened.declarations()
            )
            shape = OdbcShape(SQLITE, "", table, columns, opened.order)
            self._opened[table] = opened, shape
        return self._opened[table]


def open_sqlite_file(path: Path, *, encoding: str = "utf-8", looks: Looks | None = None) -> OneWayPort:
    """Open a SQLite file as a legacy system; nothing is read before the first question, and nothing is ever written."""
    return OneWayPort(SqliteReader(Path(path), encoding), looks)
