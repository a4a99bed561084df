"""A legacy database behind an ODBC driver, read one way: small readings by pyodbc, bulk by arrow-odbc in a child.

Both read the same statements, whose columns are plain texts. What the child refuses (a text longer than its room, a
driver that aborts) is read again by pyodbc, slower and without a bound on a text.
"""

from collections.abc import Sequence
from typing import Final

import polars as pl

from banyan.errors import SourceUnavailable, SourceUnreadable
from banyan.ports import SourceColumn
from banyan.records import KEY_SEPARATOR, KeyRange
from banyan.undecoded import find_bytes
from connectors.dialects_makes import SQLITE
from connectors.dialects_odbc import OdbcQuery, OdbcShape, count_rows, select_keys, select_range, select_step
from connectors.lines import checked_encoding
from connectors.looks import Looks
from connectors.odbc_cells import read_texts
from connectors.one_way import OneWayPort
from connectors.sql import odbc_session
from wire.arrow_child import ArrowChild, ArrowQuery

_KEYS_A_QUERY: Final = 200


class OdbcReader:
    """One schema of a database behind an ODBC driver.

    Tables of at least `child_from_rows` rows are read by the child, whose start takes a while.
    """

    child_from_rows = 20_000

    def __init__(self, connection_string: str, schema: str, encoding: str) -> None:
        self._connection_string = connection_string
        self._schema = schema
        self._encoding = checked_encoding(encoding)
        self._child = ArrowChild("wire.odbc_serve")
        self._shapes: dict[str, OdbcShape] = {}
        self._counted: dict[str, int] = {}

    @property
    def note(self) -> str:
        """Say that a make was never compared with a server of its own."""
        with odbc_session(self._connection_string, "looking at the make") as session:
            return session.make.note

    def tables(self) -> list[str]:
        """List the tables of the schema."""
        with odbc_session(self._connection_string, "listing tables") as session:
            return session.tables(self._schema)

    def columns(self, table: str) -> list[SourceColumn]:
        """List the columns of a table in the order of the source."""
        return [SourceColumn(c.name, _written(c.type_name, c.size), c.is_nullable) for c in self.shape(table).columns]

    def key_columns(self, table: str) -> tuple[str, ...]:
        """Name the columns of the primary key; empty when there is none."""
        return self.shape(table).key

    def is_ordered(self, table: str) -> bool:
        """Tell whether key ranges can be cut."""
        return self.shape(table).is_ordered

    def shape(self, table: str) -> OdbcShape:
        """Read the shape of a table once; a reader opened later sees a changed table anew."""
        if table not in self._shapes:
            with odbc_session(self._connection_string, "reading the columns") as session:
                self._shapes[table] = session.shape(self._schema, table)
        return self._shapes[table]

    def count(self, table: str) -> int:
        """Count the rows of a table."""
        with odbc_session(self._connection_string, "counting rows") as session:
            self._counted[table] = int(session.ask(count_rows(self.shape(table)))[0][0])
        return self._counted[table]

    def find_step(self, table: str, keys: KeyRange, rows: int) -> str | None:
        """Give the key that is `rows` rows after the low end of a range; None when it holds fewer."""
        shape = self.shape(table)
        found = self._read_here(shape, select_step(shape, keys, rows), shape.key)
        return KEY_SEPARATOR.join(str(part) for part in found.row(0)) if found.height else None

    def read_range(self, table: str, keys: KeyRange) -> pl.DataFrame:
        """Read the raw texts of the rows of a key range."""
        shape = self.shape(table)
        asked, names = select_range(shape, keys), [column.name for column in shape.columns]
        bound = self._spelled(shape, asked)
        is_small = (self._counted.get(table) or self.count(table)) < self.child_from_rows
        if is_small or any(isinstance(value, bytes) for value in bound):  # the child binds texts alone
            return self._read_here(shape, asked, names)
        try:
            return self.read_in_child(shape, asked, names)
        except (SourceUnreadable, SourceUnavailable):  # nothing of it was passed on
            return self._read_here(shape, asked, names)

    def read_keys(self, table: str, keys: Sequence[str]) -> pl.DataFrame:
        """Read the raw texts of the rows whose key is exactly one of those given."""
        shape = self.shape(table)
        names = [column.name for column in shape.columns]
        frames = [pl.DataFrame(schema=dict.fromkeys(names, pl.String))]
        parts = (keys[at : at + _KEYS_A_QUERY] for at in range(0, len(keys), _KEYS_A_QUERY))
        frames += [self._read_here(shape, select_keys(shape, part), names) for part in parts]
        key = pl.concat_str(list(shape.key), separator=KEY_SEPARATOR)
        return pl.concat(frames).filter(key.is_in(pl.Series(list(keys), dtype=pl.String).implode()))

    def read_to_compare(self, table: str, keys: KeyRange) -> pl.DataFrame:
        """Read the rows of a key range: texts say all that a typed column holds."""
        return self.read_range(table, keys)

    def identity(self) -> str:
        """Name make, server and database; a restored copy of it has the same name, and is compared row by row."""
        with odbc_session(self._connection_string, "reading the identity") as session:
            return "odbc " + " ".join((*session.identity(), self._schema))

    def read_in_child(self, shape: OdbcShape, asked: OdbcQuery, names: Sequence[str]) -> pl.DataFrame:
        """Read a statement in bulk, in the child."""
        before = shape.make.settings
        query = ArrowQuery(self._connection_string, asked.query, before, asked.values)
        crossed = [pl.DataFrame(schema=dict.fromkeys(names, pl.String))]
        wanted = [pl.nth(place).cast(pl.String).alias(name) for place, name in enumerate(names)]
        crossed += [frame.select(wanted) for frame in self._child.read(query)]
        return read_texts(shape, pl.concat(crossed), self._encoding)

    def close(self) -> None:
        """End the child."""
        self._child.close()

    def _read_here(self, shape: OdbcShape, asked: OdbcQuery, names: Sequence[str]) -> pl.DataFrame:
        with odbc_session(self._connection_string, "reading rows") as session:
            crossed = session.texts(asked, names, bound=self._spelled(shape, asked))
        return read_texts(shape, crossed, self._encoding)

    def _spelled(self, shape: OdbcShape, asked: OdbcQuery) -> tuple[str | bytes, ...]:
        """Give the values of a statement as the store spells them: a SQLite file compares the bytes of a key.

        A letter that its encoding does not have stands in no key of the file, and is found in none.
        """
        return asked.values if shape.make is not SQLITE else tuple(self._bytes_of(value) for value in asked.values)

    def _bytes_of(self, value: str) -> str | bytes:
        raw = find_bytes(value)
        if raw is not None:
            return raw
        return value if value.isascii() or self._encoding == "utf-8" else value.encode(self._encoding, "replace")


def open_odbc(
    connection_string: str, schema: str, *, encoding: str = "utf-8", looks: Looks | None = None
) -> OneWayPort:
    """Open a database behind an ODBC driver for reading; nothing is connected before the first question.

    `encoding` is that of texts in a SQLite file; a server gives its texts as UTF-8 whatever it keeps.
    """
    return OneWayPort(OdbcReader(connection_string, schema, encoding), looks)


def _written(type_name: str, size: int) -> str:
    return f"{type_name}({size})" if size and "char" in type_name else type_name
