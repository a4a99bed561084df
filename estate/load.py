"""Installing ORION in a PostgreSQL database, empty or with the rows of an estate."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import polars as pl
import psycopg
from psycopg import errors, sql
from sqlalchemy.engine import make_url

from banyan.errors import ConfigurationError, SourceUnavailable, UsageError
from estate.orion import Estate
from estate.schema import key_column, legacy_tables, read_sql, sequence_of

SCHEMA = "orion"
_ROWS_PER_BLOCK = 50_000


def connect(url: str) -> psycopg.Connection[Any]:
    """Open a connection of its own to a legacy database named by a SQLAlchemy URL."""
    conninfo = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    try:
        return psycopg.connect(conninfo, autocommit=True)
    except psycopg.OperationalError as error:
        raise SourceUnavailable("the legacy database does not answer; nothing was written to it") from error


def create_schema(url: str) -> None:
    """Install an ORION without rows: roles, tables, sequences, indexes, triggers, rights. Needs a superuser."""
    with _installation(url):
        pass


def load(estate: Estate, connection_url: str) -> None:
    """Install ORION and copy an estate into it, in one transaction. Needs a superuser; refuses a schema in place.

    The rows come before the triggers, as in reality: the oldest ones were keyed in before those existed.
    """
    with _installation(connection_url) as connection:
        for table, frame in estate.tables.items():
            _copy(connection, table, frame)
            if table.startswith("t_"):
                _advance_sequence(connection, table)
    with connect(connection_url) as connection:
        for table in estate.tables:
            connection.execute(sql.SQL("analyze {}").format(sql.Identifier(SCHEMA, table)))


@contextmanager
def _installation(url: str) -> Iterator[psycopg.Connection[Any]]:
    with connect(url) as connection:
        try:
            connection.execute(_script("roles"))
            with connection.transaction():
                connection.execute(_script("tables"))
                yield connection
                connection.execute(_script("rules"))
        except errors.DuplicateSchema as error:
            raise UsageError(
                "this database already holds a schema orion; nothing was changed",
                hint="name an empty database, or drop the schema orion yourself",
            ) from error
        except errors.InsufficientPrivilege as error:
            raise ConfigurationError(
                "this account may not create roles and a schema; nothing was installed",
                hint="use the URL of a superuser of a database made for the synthetic estate",
            ) from error


def _script(name: str) -> sql.SQL:
    return sql.SQL(read_sql(name))


def _copy(connection: psycopg.Connection[Any], table: str, frame: pl.DataFrame) -> None:
    """Copy raw text; ORION knows no empty string, so that an empty cell is always null."""
    columns = sql.SQL(", ").join(sql.Identifier(column.name) for column in legacy_tables()[table])
    statement = sql.SQL("copy {} ({}) from stdin (format csv)").format(sql.Identifier(SCHEMA, table), columns)
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for block in frame.iter_slices(_ROWS_PER_BLOCK):
            copy.write(block.write_csv(include_header=False))


def _advance_sequence(connection: psycopg.Connection[Any], table: str) -> None:
    connection.execute(
        sql.SQL("select setval(%s::regclass, coalesce((select max({}) from {}), 1)::bigint)").format(
            sql.Identifier(key_column(table)), sql.Identifier(SCHEMA, table)
        ),
        (f"{SCHEMA}.{sequence_of(table)}",),
    )
