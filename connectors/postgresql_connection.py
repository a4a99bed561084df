"""Connections of one role to one legacy PostgreSQL, and what its errors mean to the operator.

No message of the server is passed on: it may carry a value of a record. Facts are codes, tables and constraints.
"""

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import polars as pl
import psycopg
from sqlalchemy import Inspector, create_engine, inspect
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SAWarning
from sqlalchemy.pool import QueuePool

from banyan.canonical.columns import Kind
from banyan.errors import (
    BanyanError,
    ConfigurationError,
    RowRefused,
    SourceDrifted,
    SourceUnavailable,
    SourceUnreadable,
    StoreFenced,
)
from connectors.dialects import ALL_ROWS, RAW_SETTINGS, Bound, statement
from connectors.postgresql_encoding import parted, settle_encoding
from wire.alphabet import Alphabet, NotSpelled
from wire.copy import read_frame
from wire.encoded import SESSION_ENCODING, EncodedConnection
from wire.pools import ask_after_a_pause

Connection = psycopg.Connection[Any]

READ_SETTINGS = {**RAW_SETTINGS, **ALL_ROWS}
_OLDEST_VERSION = 140000  # pg_current_snapshot is of 13, `create or replace trigger` of 14
_CONNECT_SECONDS = 10
_ROW_SECURITY = "check_enable_rls"
"""The function of the server that refuses to answer without the rows a policy hides; its code is that of any right."""
# libpq gives no code for a refused start, only a sentence in the server's language
_REFUSED_START = re.compile(
    r"password|authenticat|authentif|mot de passe|pg_hba\.conf|does not exist|n'existe pas|no password supplied"
    r"|permission denied for database",
    re.IGNORECASE,
)
_UNPROVED = re.compile(
    r"server certificate|certificate verify|root certificate|does not support SSL|SSL error", re.IGNORECASE
)
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class PostgreSQLConnections:
    """A small pool of connections of one role; every statement commits alone unless a transaction is opened."""

    def __init__(self, url: str, *, settings: Mapping[str, str] = READ_SETTINGS) -> None:
        self.url, self._encoding = parted(_parsed(url))
        self.alphabet: Alphabet | None = None
        """How the bytes of a database without encoding are read, as a connection found; None where it has one."""
        self._settings = settings
        engine = create_engine(
            "postgresql+psycopg://",
            creator=self._connect,
            poolclass=QueuePool,
            pool_size=2,
            max_overflow=6,
            pool_use_lifo=True,  # the one that was asked last has the catalogue of the server at hand
            hide_parameters=True,
        )
        self.engine: Engine = ask_after_a_pause(engine)

    @property
    def place(self) -> str:
        """Say where the server is, without any secret."""
        return f"{self.url.host or 'local'}:{self.url.port or 5432}/{self.url.database}"

    @contextmanager
    def session(self, doing: str, *, table: str = "") -> Iterator[Connection]:
        """Lend a connection on which each statement commits alone; errors say what was being done."""
        with self._explained(doing, table):
            borrowed = self.engine.raw_connection()
            try:
                connection = borrowed.driver_connection
                assert isinstance(connection, psycopg.Connection)
                if not connection.autocommit:
                    connection.rollback()
                    connection.autocommit = True
                yield connection
            finally:
                borrowed.close()

    @contextmanager
    def transaction(self, doing: str, *, table: str = "") -> Iterator[Connection]:
        """Lend a connection inside one transaction that commits when left and rolls back on any error."""
        with self.session(doing, table=table) as connection, connection.transaction():
            yield connection

    @contextmanager
    def reflecting(self, doing: str, *, table: str = "") -> Iterator[Inspector]:
        """Lend what reads the catalogue, on one connection; errors say what was being done."""
        warnings.filterwarnings("ignore", "Did not recognize type", SAWarning)  # the server names these
        with self._explained(doing, table), self.engine.connect() as lent:
            yield inspect(lent)

    def close(self) -> None:
        """Give all connections back to the server."""
        self.engine.dispose()

    @contextmanager
    def _explained(self, doing: str, table: str) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            if isinstance(error.orig, psycopg.Error):
                raise explain(error.orig, f"{doing} at {self.place}", table) from None
            raise
        except psycopg.Error as error:
            raise explain(error, f"{doing} at {self.place}", table) from None
        except NotSpelled as error:
            raise _explain_spelling(error, f"{doing} at {self.place}", table) from None

    def arguments(self, *, spoken: str = "") -> dict[str, Any]:
        """Give the parameters of a connection of this role, its secret included; `spoken` by itself as it was found."""
        arguments: dict[str, Any] = self.url.translate_connect_args(username="user", database="dbname")
        arguments |= {"connect_timeout": _CONNECT_SECONDS, "application_name": "banyan"}
        arguments["client_encoding"] = spoken or ("UTF8" if self.alphabet is None else SESSION_ENCODING)
        if self.url.host not in (None, *_LOOPBACK):
            arguments["sslmode"] = "verify-full"  # a plaintext legacy is declared in its URL
        arguments |= self.url.query
        options = " ".join(f"-c {name}={_escaped(value)}" for name, value in self._settings.items())
        if options:
            arguments["options"] = f"{arguments.get('options', '')} {options}".strip()
        return arguments

    def _connect(self) -> Connection:
        try:
            # whatever the last one had: another server may answer now, with an encoding of its own
            connection = EncodedConnection.connect(**self.arguments(spoken="UTF8"))
        except psycopg.OperationalError as error:
            raise _explain_start(error, self.place) from None
        try:
            self._check_server(connection)
        except BanyanError:
            connection.close()
            raise
        return connection

    def _check_server(self, connection: EncodedConnection) -> None:
        version = connection.info.server_version
        if version < _OLDEST_VERSION:
            raise ConfigurationError(
                f"{self.place} is PostgreSQL {version // 10000}; this connector needs 14 or newer; nothing was read",
                hint="hand over an extract as files, or read it through the odbc medium",
            )
        self.alphabet = settle_encoding(connection, self._encoding, place=self.place)


def copy_rows(
    connection: Connection, bound: Bound, columns: Sequence[str], *, asked: int | None = None
) -> pl.DataFrame:
    """Read the rows of a query as raw text columns: those of few keys at once, others through COPY."""
    query, values = bound
    return read_frame(connection, query, dict.fromkeys(columns, Kind.TEXT), values, asked=asked)


def read_children(connection: Connection, schema: str, table: str) -> tuple[tuple[str, str], ...]:
    """Name the partitions of a table and the tables that inherit from it, at any depth, by schema and name."""
    found = connection.execute(statement("children"), {"schema": schema, "table": table}).fetchall()
    return tuple((str(home), str(name)) for home, name in found)


def explain(error: psycopg.Error, doing: str, table: str = "") -> BanyanError:
    """Say what a server's error means, by its code; never repeats the server's words."""
    code = error.sqlstate or ""
    facts = {
        "sqlstate": code,
        "table": error.diag.table_name or table,
        "column": error.diag.column_name or "",
        "constraint": error.diag.constraint_name or "",
    }
    on = f" on {facts['table']}" if facts["table"] else ""
    if error.diag.source_function == _ROW_SECURITY:
        return ConfigurationError(
            f"{doing}: a policy{on} hides rows from this account (row-level security); nothing was read or changed",
            hint="banyan source grants writes `bypassrls` for such tables",
            **facts,
        )
    match code[:2]:
        case "" | "08" | "53" | "57" | "58" | "40":
            return SourceUnavailable(
                f"{doing}: the server ended or refused the work{on} ({code or 'connection lost'}); "
                "the open transaction was rolled back",
                hint="run the same command again",
                **facts,
            )
        case "55":
            if code == "55006":
                return StoreFenced(
                    f"{doing}: the fence refused the write{on}; nothing was written",
                    hint="banyan switch status",
                    **facts,
                )
            return SourceUnavailable(
                f"{doing}: a lock{on} was not given in time ({code}); nothing was changed",
                hint="run the same command again, outside the hours of the long jobs",
                **facts,
            )
        case "28":
            return ConfigurationError(f"{doing}: the account was refused ({code}); nothing was opened", **facts)
        case "3F" | "3D":
            return SourceDrifted(f"{doing}: the schema or database is not there ({code}); nothing was changed", **facts)
        case "22" | "23":
            where = facts["constraint"] or facts["column"] or "its type"
            return RowRefused(
                f"{doing}: the legacy system refuses a value{on}, by {where} ({code}); the transaction was rolled back",
                hint="the rule of that column must know this limit: banyan map explain",
                code=code,
                **facts,
            )
        case "P0":
            return RowRefused(
                f"{doing}: a trigger of the legacy system refuses a row{on} ({code}); the transaction was rolled back",
                hint="read what the trigger asks for, or the log of the legacy server at this time",
                code=code,
                **facts,
            )
        case _:
            return _explain_statement(code, doing, on, facts)


def _explain_statement(code: str, doing: str, on: str, facts: Mapping[str, object]) -> BanyanError:
    match code:
        case "42501":
            return ConfigurationError(
                f"{doing}: the account lacks a right{on}; nothing was changed", hint="banyan source grants", **facts
            )
        case "42704":
            return ConfigurationError(
                f"{doing}: a role or object that must exist is missing; nothing was changed",
                hint="create the roles first: banyan source grants",
                **facts,
            )
        case "42P01" | "42703" | "42883" | "42P10" | "42809" | "428C9":
            return SourceDrifted(
                f"{doing}: a table, column, key or function{on} is not what it was ({code}); nothing was changed",
                hint="banyan source scan",
                **facts,
            )
        case _:
            return SourceDrifted(
                f"{doing}: the legacy system refused the statement{on} ({code}); the transaction was rolled back",
                hint="read the log of the legacy server at this time",
                **facts,
            )


def _explain_start(error: psycopg.OperationalError, place: str) -> BanyanError:
    if _UNPROVED.search(str(error)):
        return ConfigurationError(
            f"{place} does not prove who it is (TLS); nothing was read",
            hint="add ?sslrootcert=FILE with the department's authority; a legacy without TLS is declared: plaintext",
            place=place,
        )
    if _REFUSED_START.search(str(error)):
        return ConfigurationError(
            f"{place} refuses this account, its password or its database; nothing was read",
            hint="check the reference of the secret in banyan.yaml, then banyan source grants",
            place=place,
        )
    return SourceUnavailable(
        f"{place} does not answer; nothing was read", hint="check the network, then run the same command", place=place
    )


def _explain_spelling(error: NotSpelled, doing: str, table: str) -> BanyanError:
    on = f" in {table}" if table else ""
    return SourceUnreadable(
        f"{doing}: the name of a table or column{on} {error}; nothing of it was passed on",
        hint="declare an encoding of single bytes, which reads every byte and gives it back; or correct the name",
        encoding=error.encoding,
        table=table,
    )


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace(" ", "\\ ")


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigurationError("the URL of a PostgreSQL source cannot be read; nothing was opened") from None
    if parsed.get_backend_name() != "postgresql":
        raise ConfigurationError(
            f"a PostgreSQL source has a URL of {parsed.get_backend_name()}; nothing was opened",
            hint="postgresql://user@host:5432/database",
        )
    return parsed
