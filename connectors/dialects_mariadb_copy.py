"""The statements that copy one database of a MariaDB beside it: tables, rows, and what is stored to run in it."""

from collections.abc import Sequence
from typing import Final

from connectors.dialects_mariadb import home_of, literal, quoted

SETTINGS: Final = (
    "set session transaction isolation level read committed",  # rows are read beside people, and nobody waits
    "set foreign_key_checks = 0, unique_checks = 0",
)
TABLES: Final = "select table_name from information_schema.tables where table_schema = %s and table_type = 'BASE TABLE'"
COLUMNS: Final = (
    "select column_name from information_schema.columns where table_schema = %s and table_name = %s"
    " and coalesce(generation_expression, '') = '' order by ordinal_position"
)
"""The columns of a table whose values are written, not computed."""
STORED: Final = (
    "select routine_type, routine_name, sql_mode from information_schema.routines where routine_schema = %(schema)s"
    " union all select 'TRIGGER', trigger_name, sql_mode from information_schema.triggers"
    " where trigger_schema = %(schema)s and definer <> 'banyan_owner@localhost'"
)
"""What people have written to run in the server; nothing of ours."""
WRITERS: Final = (
    "select user, host from mysql.db where %s like db and user = %s and 'Y' in (insert_priv, update_priv, delete_priv)"
)
HOLDERS: Final = (
    "select '', user, host, db, '' from mysql.db where db in %(names)s"
    " union select 'table', user, host, db, table_name from mysql.tables_priv where db in %(names)s"
    " union select lower(routine_type), user, host, db, routine_name from mysql.procs_priv where db in %(names)s"
)
"""Every right that names one of some databases: a right outlives the database it names."""


def create_empty(copy: str) -> str:
    """Make an empty database; refused when there is one of that name."""
    return f"create database {quoted(copy)}"


def use(schema: str) -> str:
    """Name the database in which what follows is made."""
    return f"use {quoted(schema)}"


def show_created(kind: str, schema: str, name: str) -> str:
    """Ask for the text by which an object was made."""
    return f"show create {kind.lower()} {quoted(schema)}.{quoted(name)}"


def set_mode(mode: str) -> str:
    """Set the mode in which an object was made: it keeps that of the moment."""
    return f"set sql_mode = {literal(mode)}"


def copy_rows(schema: str, copy: str, table: str, columns: Sequence[str]) -> str:
    """Copy every row of a table inside the server."""
    listed = ", ".join(map(quoted, columns))
    return (
        f"insert into {quoted(copy)}.{quoted(table)} ({listed})"  # noqa: S608 - quoted identifiers
        f" select {listed} from {quoted(schema)}.{quoted(table)}"
    )


def let_read(copy: str) -> str:
    """Let the reader of banyan read a copy."""
    return f"grant select on {quoted(copy)}.* to banyan_reader@'%'"


def let_write(copy: str, user: str, host: str) -> str:
    """Let an account of the people write in a copy, as it does in the original."""
    return f"grant select, insert, update, delete on {quoted(copy)}.* to {quoted(user)}@{quoted(host)}"


def names_of(copy: str) -> tuple[str, str]:
    """Give the two databases of a copy: its own, and that of what is installed beside it."""
    return copy, home_of(copy)


def take_right(kind: str, account: tuple[str, str], database: str, name: str) -> str:
    """Take a right away: on a whole database, or on one table, function or procedure of it."""
    on = f"{quoted(database)}.{quoted(name)}" if kind else f"{quoted(database)}.*"
    user, host = account
    return f"revoke all privileges on {kind if kind != 'table' else ''} {on} from {quoted(user)}@{quoted(host)}"


def drop(database: str) -> str:
    """Drop a database, when it is there."""
    return f"drop database if exists {quoted(database)}"
