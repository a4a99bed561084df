"""Rows that an attempt of the way back has remembered as carried, and whose legacy commit never came."""

from typing import Any

import polars as pl
import psycopg

from banyan.departments import SourceRef
from banyan.records import KEY_SEPARATOR, Position

UNSETTLED = {
    "id": pl.Binary(),
    "source_table_no": pl.Int64(),
    "source_key": pl.String(),
    "is_buried": pl.Boolean(),
}
_FIND = (
    "with named as (select distinct k.run_no, t.source_table_no, split_part(n.row, %(mark)s, 1) as table_name,"
    "  substr(n.row, length(split_part(n.row, %(mark)s, 1)) + 2) as source_key"
    "  from mig.run r join mig.chunk k using (run_no) cross join unnest(k.keys) as n(row)"
    "  join mig.source_table t on t.department_code = r.department_code and t.system_code = r.system_code"
    "   and t.table_name = split_part(n.row, %(mark)s, 1)"
    "  where r.department_code = %(department)s and r.system_code = %(system)s and k.state <> 'DONE'"
    "   and k.intent ->> 'name' = %(name)s and k.intent ? 'since'"
    "   and k.intent ->> 'since' is not distinct from %(since)s::text)"
    " select distinct c.id, c.source_table_no, c.source_key, c.deleted_at is not null from named n"
    " join mig.crosswalk c on c.department_code = %(department)s and c.source_table_no = n.source_table_no"
    "  and c.source_key = n.source_key"
    " where c.deleted_at is null or c.deleted_reason = 'REMOVED' and c.run_no = n.run_no"
)


def find_unsettled(
    connection: psycopg.Connection[Any], source: SourceRef, name: str, since: Position | None
) -> pl.DataFrame:
    """Find the rows of chunks that began where the Position `name` still stands: columns as in UNSETTLED.

    What such a chunk wrote was rolled back in the old system; a row it let go stands there, and here its tombstone.
    """
    bound = {
        "department": source.department_code,
        "system": source.system_code,
        "name": name,
        "since": since,
        "mark": KEY_SEPARATOR,
    }
    rows = connection.execute(_FIND, bound).fetchall()
    return pl.DataFrame([(record.bytes, *rest) for record, *rest in rows], schema=UNSETTLED, orient="row")
