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
_OF_RUN = sa.text(  # one look at each list: joined, the planner of lists just filled looks once for each table
    "select t.table_name, found.word, found.rows from ("
    "select source_table_no, 'loaded' as word, count(*) as rows from mig.crosswalk"
    " where department_code = :department and run_no = :run and deleted_at is null group by 1"
    " union all select source_table_no, 'filtered', count(*) from mig.filtered_row"
    " where department_code = :department and run_no = :run group by 1"
    " union all select source_table_no, 'quarantined', count(*) from mig.quarantine"
    " where department_code = :department and run_no = :run and column_name is null group by 1"
    ") as found join mig.source_table t using (source_table_no)"
    " where t.department_code = :department and t.system_code = :system"
    " union all select table_name, 'again', sum(cardinality(keys)) from mig.chunk"
    " where run_no = :run and keys is not null group by 1 order by 1"
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
    found = {(row.table_name, row.word): int(row.rows) for row in connection.execute(_OF_RUN, bound)}
    odd = []
    for table in sorted({name for name, _ in found} | set(totals)):
        counts, again = totals.get(table, ChunkCounts()).rows, found.get((table, "again"), 0)
        for word in ("loaded", "filtered", "quarantined"):
            counted, listed = getattr(counts, word), found.get((table, word), 0)
            if not counted - again <= listed <= counted:
                odd.append(f"{table}: {counted} {word}, {listed} in the list")
    if odd:
        raise ConservationBroken(
            f"the figures of run {run.run_no} are not those of its lists: {'; '.join(odd)}; its watermark was not "
            "moved",
            hint="banyan sync status",
            run_no=run.run_no,
        )
