"""A copy of one database of a MariaDB, made inside its server and dropped afterwards: what a rehearsal works on.

Rows are read table by table beside the people, who wait for nothing; the copy is no single moment. It needs room for
all rows a second time, and an account that may create and drop databases.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from connectors.dialects_mariadb_copy import (
    COLUMNS,
    HOLDERS,
    SETTINGS,
    STORED,
    TABLES,
    WRITERS,
    copy_rows,
    create_empty,
    drop,
    let_read,
    let_write,
    names_of,
    set_mode,
    show_created,
    take_right,
    use,
)
from connectors.mariadb_connection import Connection, ask
from connectors.mariadb_objects import administrator, run


@contextmanager
def copied_schema(admin_url: str, schema: str, *, copy: str, officer: str) -> Iterator[None]:
    """Copy tables, rows, triggers and routines into a database of its own, with an officer's rights; drop it at last.

    Nothing of banyan is copied. Refused when a database of that name is there: it is never dropped then.
    """
    with administrator(admin_url, f"copying {schema} for a rehearsal") as connection:
        run(connection, [create_empty(copy), use(copy), *SETTINGS])
    try:
        with administrator(admin_url, f"copying {schema} for a rehearsal") as connection:
            run(connection, [use(copy), *SETTINGS])
            _copy_tables(connection, schema, copy)
            _copy_stored(connection, schema)
            run(connection, [let_read(copy)])
            run(connection, [let_write(copy, user, host) for user, host in ask(connection, WRITERS, (schema, officer))])
        yield
    finally:
        with administrator(admin_url, f"dropping {copy}, the copy of a rehearsal") as connection:
            names = names_of(copy)
            run(connection, [drop(name) for name in names])
            held = ask(connection, HOLDERS, {"names": names})
            run(connection, [take_right(kind, (user, host), base, name) for kind, user, host, base, name in held])


def _copy_tables(connection: Connection, schema: str, copy: str) -> None:
    tables = [table for (table,) in ask(connection, TABLES, (schema,))]
    run(connection, [set_mode("NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES")])
    for table in tables:
        run(connection, [ask(connection, show_created("TABLE", schema, table))[0][1]])
    for table in tables:
        columns = [name for (name,) in ask(connection, COLUMNS, (schema, table))]
        run(connection, [copy_rows(schema, copy, table, columns)])


def _copy_stored(connection: Connection, schema: str) -> None:
    """Copy what the old system itself does to a row; its names mean the tables of the copy."""
    for kind, name, mode in ask(connection, STORED, {"schema": schema}):
        text = ask(connection, show_created(kind, schema, name))[0][2]
        run(connection, [set_mode(mode), text])
