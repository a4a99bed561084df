"""Figures against lists: what a run says became of its rows must be found again where rows are remembered.

A chunk of rows that may be known already is compared in its own transaction, key by key. Rows of a first copy, which
are only appended, are compared when the run is closed: one look at the lists instead of one for each chunk.
"""

from collections.abc import Mapping
from typing import Any

import polars as pl
import psycopg
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from banyan.errors import ConservationBroken
from banyan.records import ChunkCounts
from store.records import RowsPlace, text_array, uuid_array
from store.runs import Run

_OF_CHUNK = (
    "select (select count(*) from mig.crosswalk where department_code = %(department)s and id = any(%(ids)s::uuid[])"
    "         and source_table_no = %(table)s and deleted_at is null),"
    " (select count(*) from mig.filtered_row where department_code = %(department)s and source_table_no = %(table)s"
    "   and source_key = any(%(filtered)s::text[]) and run_no = %(run)s),"
    " (select count(*) from mig.quarantine where department_code = %(department)s and source_table_no = %(table)s"
    "   and source_key = any(%(refused)s::text[]) and column_name is null and state = 'OPEN' and run_no = %(run)s)"
)
_OF_RUN = sa.text(
    "select t.table_name, coalesce(c.rows, 0) as loaded, coalesce(f.rows, 0) as filtered,"
    " coalesce(q.rows, 0) as quarantined, coalesce(k.keys, 0) as again"
    " from mig.source_table t"
    " left join (select source_table_no, count(*) as rows from mig.crosswalk where department_code = :department"
    "            and run_no = :run and deleted_at is null group by 1) c using (source_table_no)"
    " left join (select source_table_no, count(*) as rows from mig.filtered_row where department_code = :department"
    "            and run_no = :run group by 1) f using (source_table_no)"
    " left join (select source_table_no, count(*) as rows from mig.quarantine where department_code = :department"
    "            and run_no = :run and column_name is null group by 1) q using (source_table_no)"
    " left join (select table_name, sum(cardinality(keys)) as keys from mig.chunk where run_no = :run"
    "            and keys is not null group by 1) k using (table_name)"
    " where t.department_code = :department and t.system_code = :system order by t.table_name"
)


def refuse_unlisted_chunk(
    connection: psycopg.Connection[Any], place: RowsPlace, loaded: pl.Series, *, filtered: pl.Series, refused: pl.Series
) -> None:
    """Refuse a chunk whose rows are not all where their fates say: main ids in the crosswalk, keys in the lists."""
    bound = {
        "department": place.department_code,
        "table": place.source_table_no,
        "run": place.run_no,
        "ids": uuid_array(loaded),
        "filtered": text_array(filtered),
        "refused": text_array(refused),
    }
    found = connection.execute(_OF_CHUNK, bound).fetchone() or (0, 0, 0)
    counted = (loaded.len(), filtered.len(), refused.len())
    words = ("loaded", "filtered", "quarantined")
    odd = [f"{one} {word}, {here} in the list" for word, one, here in zip(words, counted, found, strict=True)
           if one != here]  # fmt: skip
    if odd:
        raise ConservationBroken(
            f"the figures of {place.rule_id} are not those of its lists: {'; '.join(odd)}; nothing of this chunk was "
            "written",
            hint="banyan sync status",
            run_no=place.run_no,
        )


def refuse_unlisted_run(connection: Connection, run: Run, totals: Mapping[str, ChunkCounts]) -> None:
    """Refuse a first copy whose figures are not those of its lists.

    Rows read again by their keys within the run stand once in a list and were counted twice: so many may be missing.
    """
    bound = {"run": run.run_no, "department": run.source.department_code, "system": run.source.system_code}
    odd = []
    for row in connection.execute(_OF_RUN, bound):
        counts = totals.get(row.table_name, ChunkCounts()).rows
        for word, listed in (("loaded", row.loaded), ("filtered", row.filtered), ("quarantined", row.quarantined)):
            counted = getattr(counts, word)
            if not counted - row.again <= listed <= counted:
                odd.append(f"{row.table_name}: {counted} {word}, {listed} in the list")
    if odd:
        raise ConservationBroken(
            f"the figures of run {run.run_no} are not those of its lists: {'; '.join(odd)}; its watermark was not "
            "moved",
            hint="banyan sync status",
            run_no=run.run_no,
        )
