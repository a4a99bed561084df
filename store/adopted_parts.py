"""Parts of rows whose identifier does not follow from their legacy key: what the way back brought to a row.

Every function takes the psycopg connection of an open transaction. All other parts are computed, and nothing is asked
of the store for them.
"""

from typing import Any

import polars as pl
import psycopg
import sqlalchemy as sa
from psycopg import sql

from store.records import LINK_KINDS, uuid_array
from store.row_tables import identifier
from store.tables import table, text
from wire.copy import read_frame

ADOPTED_PART = table(
    "adopted_part",
    text("department_code"),
    identifier("id"),
    text("part"),
    identifier("canonical_id"),
    sa.PrimaryKeyConstraint("department_code", "id", "part", "canonical_id"),
)


def has_adopted_parts(connection: psycopg.Connection[Any], department_code: str) -> bool:
    """Tell whether any part of a department has an identifier that is not computed."""
    query = "select exists (select from mig.adopted_part where department_code = %s)"
    row = connection.execute(query, (department_code,)).fetchone()
    return row is not None and bool(row[0])


def find_adopted_parts(connection: psycopg.Connection[Any], department_code: str, ids: pl.Series) -> pl.DataFrame:
    """Find the links of rows, by main id, to parts whose identifier is not computed; columns as in LINK_KINDS."""
    query = sql.SQL(
        "select l.id::text, l.part, l.canonical_table, l.canonical_id::text from mig.record_link l"
        " join mig.adopted_part a using (department_code, id, part, canonical_id)"
        " where l.department_code = %s and l.id = any(%s::uuid[])"
    )
    return read_frame(connection, query, LINK_KINDS, (department_code, uuid_array(ids)), asked=len(ids))


def adopt_parts(connection: psycopg.Connection[Any], department_code: str, links: pl.DataFrame) -> int:
    """Remember parts whose identifier is not computed (columns id, part, canonical_id), once and for good."""
    if links.is_empty():
        return 0
    return connection.execute(
        "insert into mig.adopted_part (department_code, id, part, canonical_id)"
        " select %(department)s, a.id, a.part, a.canonical_id"
        " from unnest(%(ids)s::uuid[], %(parts)s::text[], %(targets)s::uuid[]) as a(id, part, canonical_id)"
        " on conflict do nothing",
        {
            "department": department_code,
            "ids": uuid_array(links["id"]),
            "parts": links["part"].to_list(),
            "targets": uuid_array(links["canonical_id"]),
        },
    ).rowcount
