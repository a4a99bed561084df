"""Connections of one account to one legacy MariaDB, and what its errors mean to the operator.

No message of the server is passed on: it may carry a value of a record. Facts are codes, tables and constraints.
"""

import re
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

import polars as pl
import pymysql
from pymysql.constants import CLIENT
from pymysql.cursors import SSCursor
from sqlalchemy import create_engine
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import QueuePool

from banyan.errors import (
    BanyanError,
    ConfigurationError,
    RowRefused,
    SourceDrifted,
    SourceUnavailable,
    SourceUnreadable,
    StoreFenced,
)
from connectors.dialects_mariadb import ALL_ROWS, Bound

Connection: TypeAlias = pymysql.connections.Connection
FENCED: Final = 32055
"""The error number with which our fence refuses; no server error has it."""
LET_IN: Final = 32056
"""The error number with which our fence tells a session that only asks that its write would have passed."""

RAW_SETTINGS: Final = ("set time_zone = '+00:00'", "set sql_mode = ''", "set names utf8mb4", ALL_ROWS)
"""What makes the text of a value the same on every server; run at the start of a reading connection."""

WRITE_SETTINGS: Final = ("set sql_mode = 'STRICT_ALL_TABLES,ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO'", ALL_ROWS)
"""A value that does not fit is refused, never cut; legacy triggers keep the mode they were created with."""

_OF_THE_ROW: Final = frozenset(
    (1048, 1062, 1264, 1265, 1292, 1364, 1366, 1406, 1411, 1441, 1451, 1452, 1557, 1644, 1690, 1761, 1762, 4025)
)
"""What a server says of a value, a constraint or a SIGNAL of a trigger that gives no number of its own."""
_SIGNAL: Final = 1644
_SIGNALLED: Final = 5000
"""No error of a server has such a number: a trigger gave it."""

_OLDEST_VERSION = (10, 6)  # the binary log position of a snapshot, SKIP LOCKED, table ids that change at a TRUNCATE
_CONNECT_SECONDS = 10
_LOOPBACK = (None, "", "localhost", "127.0.0.1", "::1")
_FETCHED_ROWS = 20_000
_CONSTRAINT = re.compile(r"CONSTRAINT `(\w+)`")
_COLUMN = re.compile(r"for column (?:`\w+`\.`\w+`\.)?[`'](\w+)[`'] at row \d+$|^(?:Column|Field) '(\w+)' ")
_INDEX = re.compile(r"for key '(\w+)'$")


class MariaDBConnections:
    """A small pool of connections of one account; every statement commits alone unless a transaction is opened."""

    def __init__(self, url: str, *, settings: Sequence[str] = RAW_SETTINGS) -> None:
        self.url = _parsed(url)
        self.settings = tuple(settings)
        self.engine: Engine = create_engine(
            "mariadb+pymysql://",
            creator=self._connect,
            poolclass=QueuePool,
            pool_size=2,
            max_overflow=6,
            pool_pre_ping=True,
            hide_parameters=True,
        )

    @property
    def place(self) -> str:
        """Say where the server is, without any secret."""
        return f"{self.url.host or 'local'}:{self.url.port or 3306}"

    @property
    def is_plain(self) -> bool:
        """Tell whether bytes travel unencrypted: on loopback, or because the URL declares a plaintext legacy."""
        return self.url.host in _LOOPBACK or self.url.query.get("ssl") == "disabled"

    @contextmanager
    def session(self, doing: str, *, table: str = "") -> Iterator[Connection]:
        """Lend a connection on which each statement commits alone; errors say what was being done."""
        with self.explained(doing, table):
            borrowed = self.engine.raw_connection()
            is_sound = False
            try:
                connection = borrowed.driver_connection
                assert connection is not None
                connection.autocommit(value=True)
                yield connection
                is_sound = True
            finally:
                if not is_sound:  # its transaction, its temporary tables and its settings end with it
                    borrowed.invalidate()
                borrowed.close()

    @contextmanager
    def transaction(self, doing: str, *, table: str = "") -> Iterator[Connection]:
        """Lend a connection inside one transaction that commits when left and rolls back on any error."""
        with self.session(doing, table=table) as connection:
            connection.begin()
            yield connection
            connection.commit()

    def open_stream(self, doing: str) -> Connection:
        """Open a connection of its own, for the binary log; the caller closes it."""
        with self.explained(doing):
            return self._connect()

    def close(self) -> None:
        """Give all connections back to the server."""
        self.engine.dispose()

    @contextmanager
    def explained(self, doing: str, table: str = "") -> Iterator[None]:
        """Turn what the server says into what it means to the operator."""
        try:
            yield
        except DBAPIError as error:
            if isinstance(error.orig, pymysql.MySQLError):
                raise explain(error.orig, f"{doing} at {self.place}", table) from None
            raise
        except pymysql.MySQLError as error:
            raise explain(error, f"{doing} at {self.place}", table) from None
        except UnicodeDecodeError:  # half of a pair in ucs2 or utf32, which the server passes on
            where = f" in {table}" if table else ""
            raise SourceUnreadable(
                f"{doing} at {self.place}: a text{where} is none in any character set; nothing of it was passed on",
                hint="correct the row in the legacy system, or ask for a view that leaves it out",
                table=table,
            ) from None

    def _connect(self) -> Connection:
        try:
            connection = pymysql.connect(
                host=self.url.host or "127.0.0.1",
                port=self.url.port or 3306,
                user=self.url.username,
                password=self.url.password or "",
                charset="utf8mb4",
                autocommit=True,
                connect_timeout=_CONNECT_SECONDS,
                client_flag=CLIENT.FOUND_ROWS,
                conv=_CONVERSIONS,
                ssl=None if self.is_plain else self._certified(),
                ssl_disabled=self.is_plain,  # or a context is made at each start, which reads every authority there is
                program_name="banyan",
            )
        except (pymysql.MySQLError, ssl.SSLError, OSError) as error:
            raise explain_start(error, self.place) from None
        version = tuple(int(part) for part in re.findall(r"\d+", connection.get_server_info().removeprefix("5.5.5-")))
        if "MariaDB" not in connection.get_server_info() or version[:2] < _OLDEST_VERSION:
            connection.close()
            raise ConfigurationError(
                f"{self.place} is no MariaDB 10.6 or newer; nothing was read",
                hint="read it through medium: odbc (a MySQL is not verified there), or from an extract as files",
            )
        with connection.cursor() as cursor:
            for line in self.settings:
                cursor.execute(line)
        return connection

    def _certified(self) -> ssl.SSLContext:
        """Demand a certificate that names the host; `ssl_ca` in the URL names the authority of the department."""
        authority = self.url.query.get("ssl_ca")
        return ssl.create_default_context(cafile=str(authority) if authority else None)


def ask(connection: Connection, query: str, values: Sequence[object] | Mapping[str, object] = ()) -> list[Any]:
    """Run a statement and give its rows; what it answers beyond the first result is read and dropped."""
    with connection.cursor() as cursor:
        cursor.execute(query, values or None)
        rows = list(cursor.fetchall()) if cursor.description else []
        while cursor.nextset():
            pass
        return rows


def count_touched(connection: Connection, query: str, values: Sequence[object] = ()) -> int:
    """Run a statement that writes and give the number of rows it matched."""
    with connection.cursor() as cursor:
        return int(cursor.execute(query, values or None))


def read_rows(connection: Connection, bound: Bound, columns: Sequence[str]) -> pl.DataFrame:
    """Read the rows of a query whose columns are text, a bounded number at a time."""
    schema = dict.fromkeys(columns, pl.String)
    frames = [pl.DataFrame(schema=schema)]
    with connection.cursor(SSCursor) as cursor:
        cursor.execute(bound.query, tuple(bound.values))
        while rows := cursor.fetchmany(_FETCHED_ROWS):
            frames.append(pl.DataFrame(rows, schema=schema, orient="row"))
    return pl.concat(frames)


def explain(error: pymysql.MySQLError, doing: str, table: str = "") -> BanyanError:
    """Say what a server's error means, by its number; never repeats the server's words."""
    code = _code(error)
    facts = {"errno": code, "table": table, **_named(error)}
    on = f" on {table}" if table else ""
    match code:
        case 1205 | 3572:
            return SourceUnavailable(
                f"{doing}: a lock{on} was not given in time ({code}); nothing was changed",
                hint="run the same command again, outside the hours of the long jobs",
                **facts,
            )
        case 0 | 1040 | 1053 | 1152 | 1158 | 1159 | 1160 | 1161 | 1213 | 1317 | 1927 | 1969:
            return _away(doing, on, facts)
        case code if 2000 <= code < 3000:
            return _away(doing, on, facts)
        case 32055:
            return StoreFenced(
                f"{doing}: the fence refused the write{on}; nothing was written", hint="banyan switch status", **facts
            )
        case 1044 | 1045 | 1142 | 1143 | 1227 | 1370 | 1410 | 1419 | 1698:
            return ConfigurationError(
                f"{doing}: the account lacks a right{on} ({code}); nothing was changed",
                hint="banyan source grants",
                **facts,
            )
        case code if code in _OF_THE_ROW or code >= _SIGNALLED:
            where = facts["constraint"] or facts["column"] or "its type or a trigger"
            return RowRefused(
                f"{doing}: the legacy system refuses a value{on}, by {where} ({code}); the transaction was rolled back",
                hint="the rule of that column must know this limit: banyan map explain",
                code=code,
                **facts,
            )
        case 1049 | 1051 | 1054 | 1146 | 1305 | 1449 | 1356:
            return SourceDrifted(
                f"{doing}: a database, table, column, routine or account{on} is not what it was ({code}); "
                "nothing was changed",
                hint="banyan source scan",
                **facts,
            )
        case _:
            return SourceDrifted(
                f"{doing}: the legacy system refused the statement{on} ({code}); the transaction was rolled back",
                hint="read the log of the legacy server at this time",
                **facts,
            )


def explain_start(error: Exception, place: str) -> BanyanError:
    """Say why a connection was not opened, without the server's words."""
    code = _code(error)
    if code in (1044, 1045, 1049, 1698, 1820, 4151):
        return ConfigurationError(
            f"{place} refuses this account, its password or its database; nothing was read",
            hint="check the reference of the secret in banyan.yaml, then banyan source grants",
            place=place,
        )
    behind = (error, error.__cause__, getattr(error, "original_exception", None))  # the driver wraps what ssl says
    if code == 2026 or any(isinstance(one, ssl.SSLError) for one in behind):
        return ConfigurationError(
            f"{place} does not prove who it is (TLS); nothing was read",
            hint="add ?ssl_ca=FILE with the department's authority; a plaintext legacy is declared with ?ssl=disabled",
            place=place,
        )
    return SourceUnavailable(
        f"{place} does not answer; nothing was read", hint="check the network, then run the same command", place=place
    )


def _away(doing: str, on: str, facts: Mapping[str, object]) -> SourceUnavailable:
    return SourceUnavailable(
        f"{doing}: the server ended or refused the work{on} ({facts['errno'] or 'connection lost'}); "
        "the open transaction was rolled back",
        hint="run the same command again",
        **facts,
    )


def _code(error: Exception) -> int:
    return error.args[0] if error.args and isinstance(error.args[0], int) else 0


def _named(error: pymysql.MySQLError) -> dict[str, str]:
    """Find the constraint or column an error names; only where the server itself puts a name, and only identifiers."""
    code = _code(error)
    is_of_a_trigger = code == _SIGNAL or code >= _SIGNALLED  # whose words may say anything
    text = str(error.args[1]) if len(error.args) > 1 and not is_of_a_trigger else ""
    constraint, column = _INDEX.search(text) or _CONSTRAINT.search(text), _COLUMN.search(text)
    return {
        "constraint": constraint.group(1) if constraint else "",
        "column": (column.group(1) or column.group(2)) if column else "",
    }


_CONVERSIONS: Mapping[Any, Any] = {
    kind: convert
    for kind, convert in pymysql.converters.conversions.items()
    if not isinstance(kind, int) or kind in (1, 2, 3, 4, 5, 8, 9, 13)  # numbers; everything else stays text
}


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigurationError("the URL of a MariaDB source cannot be read; nothing was opened") from None
    if parsed.get_backend_name() not in ("mysql", "mariadb"):
        raise ConfigurationError(
            f"a MariaDB source has a URL of {parsed.get_backend_name()}; nothing was opened",
            hint="mariadb://user@host:3306/database",
        )
    return parsed
