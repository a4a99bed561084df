"""Until when legacy rows may be kept: what was judged before the first copy, and who came back into a case since.

Every function takes the psycopg connection of an open transaction.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import polars as pl
import psycopg
from psycopg import sql

from banyan.canonical.columns import Kind
from store.records import RowsPlace, text_array
from wire.copy import copy_in, read_frame, text_projection

_FOUND: dict[str, Kind] = {
    "source_key": Kind.TEXT,
    "until": Kind.DATE,
    "rule_code": Kind.TEXT,
    "is_expired": Kind.BOOLEAN,
}
Connection = psycopg.Connection[Any]


def replace_terms(
    connection: Connection, department_code: str, judged: Mapping[int, pl.DataFrame], *, judged_on: date
) -> int:
    """Remember what was judged of the rows of each legacy table, by its number, in place of what was known of them.

    Frames have key, until, rule_code, is_expired, person_key and case_key; gives the number of rows.
    """
    written = 0
    for number, frame in judged.items():
        connection.execute(
            "delete from mig.retention_term where department_code = %s and source_table_no = %s",
            (department_code, number),
        )
        rows = frame.select(
            pl.lit(department_code).alias("department_code"),
            pl.lit(number, pl.Int16).alias("source_table_no"),
            pl.col("key").alias("source_key"),
            "until",
            "rule_code",
            "is_expired",
            "person_key",
            "case_key",
            pl.lit(judged_on).alias("judged_on"),
        )
        written += copy_in(connection, sql.Identifier("mig", "retention_term"), rows)
    return written


def find_terms(connection: Connection, place: RowsPlace, keys: pl.Series) -> pl.DataFrame:
    """Give what was judged of these rows: key, until, rule_code, is_expired."""
    query = sql.SQL(
        "select {} from mig.retention_term where department_code = %s and source_table_no = %s "
        "and source_key = any(%s::text[])"
    ).format(sql.SQL(", ").join(text_projection(name, kind) for name, kind in _FOUND.items()))
    bound = (place.department_code, place.source_table_no, text_array(keys.drop_nulls()))
    return read_frame(connection, query, _FOUND, bound, asked=len(keys)).rename({"source_key": "key"})


def find_past(connection: Connection, department_code: str) -> pl.DataFrame:
    """Give the rows that are past their term: source_table_no, source_key, person_key."""
    rows = connection.execute(
        "select source_table_no, source_key, person_key from mig.retention_term"
        " where department_code = %s and is_expired",
        (department_code,),
    ).fetchall()
    schema = {"source_table_no": pl.Int64, "source_key": pl.String, "person_key": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def find_waiting(connection: Connection, department_code: str, rules: Sequence[str]) -> dict[int, list[str]]:
    """Give the rows that are not past their term and kept out by these rules all the same: keys by table number."""
    rows = connection.execute(
        "select source_table_no, source_key from mig.retention_term"
        " join mig.filtered_row using (department_code, source_table_no, source_key)"
        " where department_code = %s and not is_expired and rule = any(%s::text[])",
        (department_code, list(rules)),
    ).fetchall()
    found: dict[int, list[str]] = {}
    for number, key in rows:
        found.setdefault(number, []).append(key)
    return found


def readmit(
    connection: Connection, department_code: str, *, persons: pl.Series, cases: pl.Series
) -> dict[int, list[str]]:
    """Take people who came back into a case, by their keys or those of their cases, off the list of what is past.

    Everything of them is kept until it is judged anew: a new offence may prolong it all. Gives the keys of the rows
    that are no longer past their term, by legacy table number.
    """
    rows = connection.execute(
        "update mig.retention_term t set is_expired = false where t.department_code = %(department)s and t.is_expired"
        " and t.person_key in (select unnest(%(persons)s::text[]) union select c.person_key from mig.retention_term c"
        "   where c.department_code = %(department)s and c.case_key = any(%(cases)s::text[]))"
        " returning t.source_table_no, t.source_key",
        {
            "department": department_code,
            "persons": text_array(persons.drop_nulls()),
            "cases": text_array(cases.drop_nulls()),
        },
    ).fetchall()
    found: dict[int, list[str]] = {}
    for number, key in rows:
        found.setdefault(number, []).append(key)
    return found
