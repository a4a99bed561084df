"""The door of pyodbc: connections to a database behind an ODBC driver, its catalogue, and rows as raw text.

No message of a driver is passed on: it may carry a value of a record, or the connection string with its password. What
a driver would convert never crosses it: the statements ask for plain texts (connectors/dialects_odbc.py).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl
import pyodbc

from banyan.errors import ConfigurationError, SourceDrifted, SourceUnavailable, SourceUnreadable
from connectors.dialects_makes import MARIADB, POSTGRESQL, SQLITE
from connectors.dialects_odbc import Make, OdbcColumn, OdbcQuery, OdbcShape
from connectors.dialects_unverified import DB2, FIREBIRD, MYSQL, ORACLE, SQLSERVER

MAKES: Final = (POSTGRESQL, MARIADB, SQLITE, MYSQL, SQLSERVER, ORACLE, DB2, FIREBIRD)
_FETCHED_ROWS: Final = 10_000
_RIGHTS: Final = ("28000", "42501")


@dataclass(frozen=True, slots=True)
class OdbcSession:
    """One connection and the make of the database behind it."""

    make: Make
    connection: Any = field(repr=False)

    def ask(self, asked: OdbcQuery) -> list[Any]:
        """Run a statement and give its rows."""
        return list(self.connection.cursor().execute(asked.query, asked.values).fetchall())

    def texts(
        self, asked: OdbcQuery, names: Sequence[str], *, bound: Sequence[str | bytes] | None = None
    ) -> pl.DataFrame:
        """Read the rows of a statement whose columns are texts; refuses what a driver gives as anything else.

        `bound` stands for its values where the store spells them in bytes of its own.
        """
        schema = dict.fromkeys(names, pl.String)
        frames = [pl.DataFrame(schema=schema)]
        cursor = self.connection.cursor().execute(asked.query, asked.values if bound is None else tuple(bound))
        while rows := cursor.fetchmany(_FETCHED_ROWS):
            columns = list(zip(*rows, strict=True))
            for name, cells in zip(names, columns, strict=True):
                if any(cell is not None and not isinstance(cell, str) for cell in cells):
                    raise SourceUnreadable(
                        f"column {name}: the driver gave something else where a text was asked for; nothing of these "
                        "rows was passed on",
                        hint="ask for a view that gives this column as text",
                        column=name,
                    )
            frames.append(pl.DataFrame(dict(zip(names, columns, strict=True)), schema=schema))
        return pl.concat(frames)

    def tables(self, schema: str) -> list[str]:
        """List the tables of a schema."""
        found = self.connection.cursor().tables(tableType="TABLE", **self._place(schema)).fetchall()
        return sorted(row.table_name for row in found)

    def shape(self, schema: str, table: str) -> OdbcShape:
        """Read the columns and the primary key of a table; refuses one that is not there."""
        place = self._place(schema)
        found = self.connection.cursor().columns(table=table, **place).fetchall()
        columns = tuple(
            OdbcColumn(row.column_name, _bare(row.type_name), int(row.column_size or 0), bool(row.nullable))
            for row in found
            if row.table_name == table  # the catalogue takes an underscore for any letter
        )
        if not columns:
            raise SourceDrifted(
                f"there is no table {'.'.join(filter(None, (schema, table)))}; nothing was read",
                hint="banyan source scan, or the rights of the reader",
                table=table,
            )
        keys = self.connection.cursor().primaryKeys(table, **place).fetchall()
        key = tuple(row.column_name for row in sorted(keys, key=lambda row: row.key_seq))
        return OdbcShape(self.make, schema, table, columns, key)

    def identity(self) -> tuple[str, str, str]:
        """Name the make, the server and the database, as the driver does."""
        names = (pyodbc.SQL_SERVER_NAME, pyodbc.SQL_DATABASE_NAME)
        server, database = (str(self.connection.getinfo(name)) for name in names)
        return self.make.name, server, database

    def _place(self, schema: str) -> dict[str, str]:
        if not schema:
            return {}
        return {"catalog": schema} if self.make.schema_is_catalog else {"schema": schema}


@contextmanager
def odbc_session(connection_string: str, doing: str) -> Iterator[OdbcSession]:
    """Open a reading connection for one piece of work, under the settings that pin the text of a value."""
    try:
        connection = pyodbc.connect(connection_string, autocommit=True, readonly=True)
    except pyodbc.Error as error:
        state = _state(error)
        refused = ConfigurationError if state in _RIGHTS else SourceUnavailable
        raise refused(
            f"the ODBC source cannot be opened (SQLSTATE {state}); nothing was read",
            hint="check driver, address and rights: odbcinst -q -d",
        ) from None
    try:
        make = find_make(str(connection.getinfo(pyodbc.SQL_DBMS_NAME)))
        for line in make.settings:
            connection.cursor().execute(line)
        if make is SQLITE:
            _refuse_utf16(connection)
        yield OdbcSession(make, connection)
    except pyodbc.Error as error:
        raise SourceUnreadable(
            f"{doing}: the ODBC source refused (SQLSTATE {_state(error)}); nothing of these rows was passed on",
            hint="check the rights of the reader, then run the same command again",
        ) from None
    except UnicodeDecodeError:
        raise SourceUnreadable(
            f"{doing}: the driver gave a text that is none; nothing of these rows was passed on",
            hint="ask for a view that gives this column as text",
        ) from None
    finally:
        connection.close()


def find_make(product: str) -> Make:
    """Find the make of a database by the name its driver gives it; refuses one that nobody has written texts for."""
    for make in MAKES:
        if product.lower().startswith(tuple(name.lower() for name in make.products)):
            return make
    known = ", ".join(make.name for make in MAKES)
    raise ConfigurationError(
        f"the driver speaks of {product or 'nothing known'}: no text of its values is known to be exact; nothing was "
        "read",
        hint=f"there is a way to read: {known}; or hand over an extract as files",
    )


def _refuse_utf16(connection: Any) -> None:  # noqa: ANN401
    (stored,) = connection.cursor().execute("PRAGMA encoding").fetchone()
    if stored != "UTF-8":
        raise ConfigurationError(
            f"this SQLite source keeps its texts in {stored}; nothing was read", hint="read it with medium: sqlite"
        )


def _bare(type_name: str) -> str:
    """Give the name of a type in small letters, without lengths: `VARCHAR(40)` is `varchar`."""
    name, _, rest = type_name.lower().partition("(")
    _, _, behind = rest.partition(")")
    return f"{name.strip()}{behind}".strip()


def _state(error: pyodbc.Error) -> str:
    state = str(error.args[0]) if error.args else ""
    return state if len(state) == 5 and state.isalnum() else "unknown"
