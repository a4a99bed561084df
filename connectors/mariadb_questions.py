"""A recorded question of officers, put to a legacy MariaDB in its own SQL: read only, bounded in time, in pieces."""

from collections.abc import Iterator

from pymysql.cursors import SSCursor

from connectors.mariadb_connection import MariaDBConnections
from connectors.questions import DOING, LONGEST_SECONDS, ROWS_A_PIECE


def answer_mariadb(reader: MariaDBConnections, schema: str, question: str) -> Iterator[list[tuple[object, ...]]]:
    """Answer a question that names the tables of a database as its officers do, on a connection of its own."""
    connection = reader.open_stream(DOING)
    try:
        with reader.explained(DOING):
            connection.select_db(schema)
            with connection.cursor() as setting:
                setting.execute(f"set max_statement_time = {LONGEST_SECONDS}")
                setting.execute("start transaction read only")
            with connection.cursor(SSCursor) as cursor:
                cursor.execute(question)
                while rows := cursor.fetchmany(ROWS_A_PIECE):
                    yield list(rows)
    finally:
        connection.close()
