"""A table of the store as it lies there: ranges of its pages, each of which is read by itself, in order and once."""

from psycopg import sql

from validation.subject import Psycopg, Subject

_ROWS_PER_PAGE = 30
_MOST_PAGES = 8192
"""64 MB: what one reading takes at most, whatever the statistics say."""


def plan_pages(connection: Psycopg, subject: Subject, table: sql.Identifier) -> list[tuple[int, int | None]]:
    """Cut the pages of a table into ranges of about so many rows as a chunk has; the last one is open above.

    All rows of a department lie in one partition. Without a row of it there is nothing to read.
    """
    query = sql.SQL(
        "select pg_relation_size(oid) / current_setting('block_size')::int, relpages, reltuples from pg_class"
        " where oid = (select tableoid from {} where department_code = %s limit 1)"
    ).format(table)
    row = connection.execute(query, (subject.department.code,)).fetchone()
    if row is None:
        return []
    pages, known_pages, known_rows = row
    rows_per_page = known_rows / known_pages if known_pages and known_rows > 0 else _ROWS_PER_PAGE
    step = max(1, min(_MOST_PAGES, round(subject.rows_per_chunk / rows_per_page)))
    bounds: list[int] = list(range(0, max(1, pages), step))
    return list(zip(bounds, [*bounds[1:], None], strict=True))


def pages_between(low: int, high: int | None) -> sql.Composable:
    """Say that a row lies in a range of pages."""
    begins = sql.SQL("ctid >= {}::tid").format(sql.Literal(f"({low},0)"))
    return begins if high is None else begins + sql.SQL(" and ctid < {}::tid").format(sql.Literal(f"({high},0)"))
