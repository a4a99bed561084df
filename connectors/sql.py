"""Tables behind an ODBC driver, read as text so that the driver has nothing to convert.

ODBC drivers lose what a column does not declare, without a word: a text in an integer column of SQLite arrives as null.
Each column therefore needs a projection to text that is known to be exact:

    SQLite          every column: storage class and text of the value, the class decides how it is read
    others          text columns as they are; integers and exact decimals are asked for natively, both are exact;
                    every other type (dates, floats, intervals) needs a declared projection, or the table is refused

A declared projection is an expression of that database which gives text, such as `CONVERT(varchar(33), "DT_MAJ", 126)`.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.sql.compiler import IdentifierPreparer

from banyan.errors import ConfigurationError, SourceDrifted, SourceUnavailable, SourceUnreadable
from connectors.lines import checked_encoding

RECNO = "_recno"


@dataclass(frozen=True, slots=True)
class OdbcTable:
    """One table whose columns were read; `count_declared` is what the database counted at opening."""

    connection_string: str = field(repr=False)
    table: str
    encoding: str
    columns: tuple[str, ...]
    count_declared: int
    order: tuple[str, ...]
    _statement: str = field(repr=False)
    _has_classes: bool = field(repr=False)

    def read(self, batch_rows: int, *, recno: bool = False) -> Iterator[pl.DataFrame]:
        """Give the rows in the order of the declared key columns, every value as text or null.

        `recno=True` adds `_recno`, the number of the row from 1 in that order.
        """
        read = 0
        with _connected(self.connection_string, self.encoding) as connection:
            cursor = connection.cursor()
            cursor.execute(self._statement)
            while rows := cursor.fetchmany(batch_rows):
                yield self._frame(rows, read, recno=recno)
                read += len(rows)
        if read < self.count_declared:
            raise SourceUnreadable(
                f"table {self.table}: {read} rows were read, the database counted {self.count_declared}; the batches "
                "already given must be thrown away",
                hint="read again while nobody deletes rows",
                table=self.table,
            )

    def _frame(self, rows: list[Any], first: int, *, recno: bool) -> pl.DataFrame:
        series = []
        columns = list(zip(*rows, strict=True))
        for place, name in enumerate(self.columns):
            if self._has_classes:
                texts = self._sqlite_texts(name, columns[2 * place : 2 * place + 2], first)
            else:
                texts = [self._text(cell, name) for cell in columns[place]]
            series.append(pl.Series(name, texts, dtype=pl.String))
        if recno:
            numbers = [str(first + row) for row in range(1, len(rows) + 1)]
            series.append(pl.Series(RECNO, numbers, dtype=pl.String))
        return pl.DataFrame(series)

    def _sqlite_texts(self, column: str, pair: list[tuple[Any, ...]], first: int) -> list[str | None]:
        texts: list[str | None] = []
        for row, (kind, text) in enumerate(zip(*pair, strict=True), first + 1):
            try:
                texts.append(_sqlite_text(kind, text, self.encoding))
            except UnicodeDecodeError as error:
                raise SourceUnreadable(
                    f"table {self.table} is not {self.encoding}: row {row}, column {column}, byte offset {error.start} "
                    "of the value; nothing of this batch was passed on",
                    hint="declare the encoding that the application wrote, then read again",
                    table=self.table,
                    record=row,
                    column=column,
                    offset=error.start,
                ) from None
        return texts

    def _text(self, cell: object, column: str) -> str | None:
        match cell:
            case None | str():
                return cell
            case bool():
                pass
            case int():
                return str(cell)
            case Decimal():
                return format(cell, "f")
        raise SourceUnreadable(
            f"table {self.table}, column {column}: the driver gave {type(cell).__name__} where text was asked for; "
            "nothing of this batch was passed on",
            hint="declare a projection to text for this column",
            table=self.table,
            column=column,
        )


def open_odbc(
    connection_string: str,
    table: str,
    *,
    encoding: str,
    order: tuple[str, ...],
    projections: Mapping[str, str] | None = None,
) -> OdbcTable:
    """Read the columns of a table and count its rows; refuse a column that has no exact text.

    `order` names the key columns; `projections` gives, by column, an expression that makes text.
    """
    encoding = checked_encoding(encoding)
    with _connected(connection_string, encoding) as connection:
        cursor = connection.cursor()
        types = {row.column_name: int(row.data_type) for row in cursor.columns(table=table)}
        missing = [name for name in (*order, *(projections or {})) if name not in types]
        if not types or missing:
            raise SourceDrifted(
                f"the database has no table {table}; nothing was read"
                if not types
                else f"table {table} has no column {missing}; nothing was read",
                hint="correct the rules, or the rights of the reader",
                table=table,
            )
        is_sqlite, quote = _getinfo(connection)
        if is_sqlite:
            _check_sqlite(cursor, projections or {})
        statement = _select(table, _cells(types, projections or {}, is_sqlite=is_sqlite, table=table), order, quote)
        count = sa.select(sa.func.count()).select_from(sa.table(_quoted(table)))
        cursor.execute(str(count.compile(dialect=_dialect(quote))))
        counted = int(cursor.fetchone()[0])
    return OdbcTable(connection_string, table, encoding, tuple(types), counted, order, statement, is_sqlite)


def _cells(
    types: Mapping[str, int], projections: Mapping[str, str], *, is_sqlite: bool, table: str
) -> list[sa.ColumnElement[Any]]:
    import pyodbc

    native = {
        pyodbc.SQL_CHAR, pyodbc.SQL_VARCHAR, pyodbc.SQL_LONGVARCHAR, pyodbc.SQL_WCHAR, pyodbc.SQL_WVARCHAR,
        pyodbc.SQL_WLONGVARCHAR, pyodbc.SQL_SMALLINT, pyodbc.SQL_INTEGER, pyodbc.SQL_BIGINT, pyodbc.SQL_TINYINT,
        pyodbc.SQL_DECIMAL, pyodbc.SQL_NUMERIC,
    }  # fmt: skip
    cells: list[sa.ColumnElement[Any]] = []
    for name, kind in types.items():
        column: sa.ColumnClause[Any] = sa.column(_quoted(name))
        if is_sqlite:
            cells += _sqlite_cells(column, len(cells))
        elif name in projections:
            cells.append(sa.literal_column(projections[name]).label(f"c{len(cells)}"))
        elif kind in native:
            cells.append(column)
        else:
            raise ConfigurationError(
                f"table {table}, column {name}: its ODBC type {kind} has no text that is known to be exact; "
                "nothing was read",
                hint="declare a projection to text for this column",
                table=table,
                column=name,
            )
    return cells


def _check_sqlite(cursor: Any, projections: Mapping[str, str]) -> None:  # noqa: ANN401
    (stored,) = cursor.execute("PRAGMA encoding").fetchone()
    if stored != "UTF-8" or projections:
        raise ConfigurationError(
            f"this SQLite source keeps its texts in {stored}; nothing was read"
            if not projections
            else "a SQLite source takes no projections: every value has its exact text; nothing was read",
            hint="read the file with the medium sqlite",
        )


def _sqlite_cells(column: sa.ColumnClause[Any], place: int) -> list[sa.ColumnElement[Any]]:
    kind = sa.func.typeof(column)
    exact = sa.case(
        (kind == sa.literal_column("'real'"), sa.func.printf(sa.literal_column("'%!.17g'"), column)),
        (kind == sa.literal_column("'integer'"), sa.cast(column, sa.Text())),
        else_=sa.func.hex(column),  # the driver cuts a text at a NUL and repairs bytes that are not UTF-8
    )
    # without a name that the driver cannot find in the table it would apply the declared type of the column
    return [kind.label(f"k{place}"), exact.label(f"c{place}")]


def _sqlite_text(kind: str, text: str | None, encoding: str) -> str | None:
    match kind:
        case "null":
            return None
        case "real":
            return repr(float(text or ""))
        case "blob":
            return "0x" + (text or "").lower()
        case "text":
            return bytes.fromhex(text or "").decode(encoding)
        case _:
            return text


def _select(table: str, cells: list[sa.ColumnElement[Any]], order: tuple[str, ...], quote: str) -> str:
    statement = sa.select(*cells).select_from(sa.table(_quoted(table)))
    return str(statement.order_by(*(sa.column(_quoted(name)) for name in order)).compile(dialect=_dialect(quote)))


def _dialect(quote: str) -> DefaultDialect:
    dialect = DefaultDialect(paramstyle="qmark")
    dialect.identifier_preparer = IdentifierPreparer(dialect, initial_quote=quote)
    return dialect


def _quoted(name: str) -> sa.quoted_name:
    return sa.quoted_name(name, quote=True)


def _getinfo(connection: Any) -> tuple[bool, str]:  # noqa: ANN401
    import pyodbc

    product = str(connection.getinfo(pyodbc.SQL_DBMS_NAME))
    return product.lower().startswith("sqlite"), str(
        connection.getinfo(pyodbc.SQL_IDENTIFIER_QUOTE_CHAR)
    ).strip() or '"'


@contextmanager
def _connected(connection_string: str, encoding: str) -> Iterator[Any]:
    """Open a connection without letting its string, which may hold a password, into any message."""
    import pyodbc

    try:
        connection = pyodbc.connect(connection_string, autocommit=False, readonly=True)
    except pyodbc.Error as error:
        raise SourceUnavailable(
            f"the ODBC source cannot be opened (SQLSTATE {error.args[0]}); nothing was read",
            hint="check driver, address and rights: odbcinst -q -d",
        ) from None
    try:
        connection.setdecoding(pyodbc.SQL_CHAR, encoding=encoding)
        yield connection
    except UnicodeDecodeError as error:
        raise SourceUnreadable(
            f"the ODBC source is not {encoding}: byte offset {error.start} of a value; nothing of this batch was "
            "passed on",
            hint="declare the encoding that the application wrote, then read again",
            offset=error.start,
        ) from None
    except pyodbc.Error as error:
        raise SourceUnreadable(
            f"the ODBC source refused to be read (SQLSTATE {error.args[0]}); nothing of this batch was passed on",
            hint="check the rights of the reader and the declared projections",
        ) from None
    finally:
        connection.close()
