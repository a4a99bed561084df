"""SQL of the probe of a fence: one question for all tables, so that a slow link is crossed once."""

from collections.abc import Mapping

from psycopg import sql

from connectors.dialects import touch_nothing

PROBED = "BN001"
"""The error that ends every probe: what it did is rolled back, and its detail names the tables that let it write."""


def probe_tables(schema: str, columns: Mapping[str, str], milliseconds: int) -> sql.Composed:
    """Try to write in each table, touching no row, and end in an error; `columns` names a plain column of each."""
    one = "begin {touch}; found := array_append(found, {name}); exception when object_in_use then null; end;"
    tries = [
        sql.SQL(one).format(touch=touch_nothing(schema, table, column), name=sql.Literal(table))
        for table, column in columns.items()
    ]
    return sql.SQL(
        "do $banyan$ declare found text[] := '{{}}'; begin "
        "perform set_config('lock_timeout', {wait}, true); {tries} "
        "raise exception 'banyan: probed' using errcode = {code}, detail = array_to_string(found, ','); "
        "end $banyan$"
    ).format(wait=sql.Literal(f"{milliseconds}ms"), tries=sql.SQL(" ").join(tries), code=sql.Literal(PROBED))
