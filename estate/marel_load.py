"""Installing MAREL in a MariaDB database, empty or with the rows of an estate."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import polars as pl
import pymysql
from pymysql.connections import Connection
from sqlalchemy.engine import make_url

from banyan.errors import ConfigurationError, SourceUnavailable, UsageError
from estate.marel_schema import marel_tables
from estate.orion import Estate
from estate.schema import read_sql

ACCOUNTS = ("marel_app", "banyan_reader", "banyan_reverse", "banyan_guard")
_BLOBS = {("dossiers", "options")}
_ROWS_PER_STATEMENT = 1000
_EXISTS, _DENIED, _NO_DATABASE = 1050, (1044, 1045, 1142, 1227, 1698), 1046
_CONNECT_SECONDS = 10


def connect_marel(url: str) -> Connection:
    """Open a connection of its own to the MAREL of a SQLAlchemy URL, as PHP did: nothing is strict there."""
    address = make_url(url)
    try:
        return pymysql.connect(
            host=address.host or "127.0.0.1",
            port=address.port or 3306,
            user=address.username,
            password=address.password or "",
            database=address.database,
            charset="utf8mb4",
            autocommit=True,
            connect_timeout=_CONNECT_SECONDS,
            init_command="set sql_mode = ''",
        )
    except pymysql.MySQLError as error:
        raise SourceUnavailable("the legacy database does not answer; nothing was written to it") from error


def create_marel(url: str) -> None:
    """Install a MAREL without rows: tables, accounts, rights. Needs an administrator; refuses tables in place."""
    with _installation(url):
        pass


def load_marel(estate: Estate, url: str) -> None:
    """Install MAREL and insert an estate into it. Needs an administrator; refuses tables in place."""
    with _installation(url) as connection:
        cursor = connection.cursor()
        cursor.execute("set foreign_key_checks = 0")
        for table, frame in estate.tables.items():
            _insert(cursor, table, frame)
        cursor.execute("set foreign_key_checks = 1")


def create_database(url: str, name: str) -> None:
    """Create an empty database for MAREL on the server of the URL, as its administrator."""
    with _administering(url) as cursor:
        cursor.execute(f"create database {_quoted(name)} character set utf8mb3")


def set_password(url: str, account: str, password: str) -> None:
    """Give an account of MAREL a password; the log of the server does not hear of it."""
    with _administering(url) as cursor:
        cursor.execute("set sql_log_bin = 0")
        cursor.execute("alter user %s@'%%' identified by %s", (account, password))


@contextmanager
def _administering(url: str) -> Iterator[Any]:
    connection = connect_marel(url)
    try:
        yield connection.cursor()
    except pymysql.MySQLError as error:
        raise _explain(error) from error
    finally:
        connection.close()


@contextmanager
def _installation(url: str) -> Iterator[Connection]:
    connection = connect_marel(url)
    database = make_url(url).database
    try:
        cursor = connection.cursor()
        for statement in read_sql("marel").split(";\n"):
            if "create table" in statement:
                cursor.execute(statement)
        for account in ACCOUNTS:
            cursor.execute(f"create user if not exists {account}@'%'")
        granted = _quoted(str(database))
        cursor.execute(f"grant select, insert, update, delete on {granted}.* to marel_app@'%'")
        cursor.execute(f"grant select on {granted}.* to banyan_reader@'%'")
        yield connection
    except pymysql.MySQLError as error:
        raise _explain(error) from error
    finally:
        connection.close()


def _explain(error: pymysql.MySQLError) -> Exception:
    number = error.args[0] if error.args else 0
    if number == _EXISTS:
        return UsageError(
            "this database already holds tables of MAREL; nothing was changed",
            hint="name an empty database, or drop the tables yourself",
        )
    if number == _NO_DATABASE or number in _DENIED:
        return ConfigurationError(
            "this account may not create tables and accounts there; nothing was installed",
            hint="use the URL of an administrator, with the name of a database made for the synthetic estate",
        )
    return SourceUnavailable(f"the legacy database refused a statement (error {number}); what stands there is partial")


def _insert(cursor: Any, table: str, frame: pl.DataFrame) -> None:  # noqa: ANN401 - the driver's class is not typed
    columns = marel_tables()[table]
    places = ["unhex(substr(%s, 3))" if (table, column) in _BLOBS else "%s" for column in columns]
    names = ", ".join(_quoted(column) for column in columns)
    statement = f"insert into {_quoted(table)} ({names}) values ({', '.join(places)})"  # noqa: S608 - our own names
    for block in frame.iter_slices(_ROWS_PER_STATEMENT):
        cursor.executemany(statement, block.rows())


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
