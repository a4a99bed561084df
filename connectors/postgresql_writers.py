"""Who else writes in a legacy PostgreSQL: a look at its locks and sessions, without any value and any query."""

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql

from connectors.dialects import statements
from connectors.postgresql_connection import PostgreSQLConnections


@dataclass(frozen=True, slots=True)
class Writer:
    """An account that is writing in a table at this moment, or is connected and may."""

    account: str
    table: str
    application: str


def find_writers(url: str, tables: Sequence[str], *, schema: str) -> list[Writer]:
    """Look once at who writes, or may write, in these tables; banyan's own accounts are left out.

    A look sees what lasts as long as it: a pool of connections always, a batch of a second by chance only.
    """
    query = sql.SQL(statements("postgresql_writers")["writers"])  # type: ignore[arg-type]  # our own file
    reader = PostgreSQLConnections(url)
    try:
        with reader.session("looking who writes") as connection:
            rows = connection.execute(query, {"schema": schema, "tables": list(tables)}).fetchall()
    finally:
        reader.close()
    return [Writer(*row) for row in rows]
