"""A recorded question of officers, put to a legacy PostgreSQL in its own SQL: read only, bounded in time, in pieces."""

from collections.abc import Iterator

from psycopg import sql

from connectors.postgresql_connection import PostgreSQLConnections

ROWS_A_PIECE = 20_000
LONGEST_SECONDS = 300
DOING = "answering a question"


def answer_postgresql(reader: PostgreSQLConnections, schema: str, question: str) -> Iterator[list[tuple[object, ...]]]:
    """Answer a question that names the tables of a schema as its officers do; a cursor takes nothing but a query."""
    with reader.transaction(DOING) as connection:
        connection.execute("set transaction read only")
        path = sql.Identifier(schema).as_string(connection)
        limit = f"{LONGEST_SECONDS}s"
        connection.execute(
            "select set_config('search_path', %s, true), set_config('statement_timeout', %s, true)", (path, limit)
        )
        with connection.cursor(name="banyan_question") as cursor:
            cursor.execute(sql.SQL(question))  # type: ignore[arg-type]  # recorded, and only read
            while rows := cursor.fetchmany(ROWS_A_PIECE):
                yield rows
