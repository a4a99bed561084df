"""What the levels read of the store besides records by id: identifiers in bulk, holders of a record, explanations.

Every function takes the psycopg connection of an open transaction and only reads.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl
from psycopg import sql

from banyan.canonical.columns import Kind
from banyan.canonical.model import TABLES
from banyan.findings import FindingKind
from mappings.outcomes import REFUSED
from store.records import find_crosswalk, find_owners, uuid_array
from validation.differences import field_groups
from validation.pages import pages_between, plan_pages
from validation.subject import Psycopg, Subject
from wire.copy import copy_out, read_frame, stream_uuids

_ID = {"id": Kind.UUID}
_NO_ROW_KNOWN = "no legacy row is known"
_NOT_EMITTED = "its legacy row does not emit it"
_ROW_DELETED = "its legacy row is deleted"
_CROSSWALK = sql.Identifier("mig", "crosswalk")
_CLAIM = sql.SQL("hashtextextended(source_key, %s::bigint + source_table_no)")
_CLAIMED = sql.SQL("department_code = %s and source_table_no = any(%s) and deleted_at is null")
_EXPLAINED = {"id": pl.Binary(), "canonical_table": pl.String(), "column": pl.String()}


def stream_ids(connection: Psycopg, subject: Subject, table: str) -> Iterator[pl.Series]:
    """Stream the ids of the records of a canonical table in the department and its domains."""
    query = sql.SQL("select id from {} where department_code = %s and domain_code = any(%s)").format(
        sql.Identifier("justice", _known(table))
    )
    yield from stream_uuids(connection, query, (subject.department.code, list(subject.domains)))


def stream_live_ids(connection: Psycopg, subject: Subject, table: str) -> Iterator[pl.Series]:
    """Stream the main ids of the live crosswalk rows of a legacy table."""
    query = sql.SQL(
        "select id::text from mig.crosswalk where department_code = %s and source_table_no = %s and deleted_at is null"
    )
    for frame in copy_out(connection, query, _ID, (subject.department.code, subject.table_numbers[table])):
        yield frame["id"]


def find_standing(connection: Psycopg, table: str, department_code: str, ids: pl.Series) -> pl.DataFrame:
    """Find which of these ids have a record: column id."""
    query = sql.SQL("select id::text from {} where department_code = %s and id = any(%s::uuid[])").format(
        sql.Identifier("justice", _known(table))
    )
    return read_frame(connection, query, _ID, (department_code, uuid_array(ids)), asked=len(ids))


def find_holders(connection: Psycopg, subject: Subject, table: str, ids: pl.Series) -> pl.DataFrame:
    """Find the legacy row that each record belongs to: id, main_id, legacy_table, source_key, cause.

    Records of rows of another legacy system are left out: they are judged there.
    """
    code = subject.department.code
    mains = find_crosswalk(connection, code, ids).with_columns(pl.col("id").alias("main_id"))
    links = find_owners(connection, code, ids).filter(pl.col("canonical_table") == table)
    owners = find_crosswalk(connection, code, links["id"].unique())
    linked = links.join(owners, on="id", how="inner").with_columns(
        pl.col("id").alias("main_id"), pl.col("canonical_id").alias("id")
    )
    columns = ["id", "main_id", "source_table_no", "source_key", "deleted_at"]
    held = pl.concat([mains.select(columns), linked.select(columns)]).unique("id", keep="first", maintain_order=True)
    names = {number: name for name, number in subject.table_numbers.items()}
    every = pl.DataFrame({"id": ids}).join(held, on="id", how="left", maintain_order="left")
    table_name = pl.col("source_table_no").replace_strict(names, default=None, return_dtype=pl.String)
    ours = every.with_columns(table_name.alias("legacy_table")).filter(
        pl.col("source_table_no").is_null() | pl.col("legacy_table").is_not_null()
    )
    return ours.select(
        "id",
        pl.coalesce("main_id", "id").alias("main_id"),
        "legacy_table",
        "source_key",
        pl.when(pl.col("source_key").is_null())
        .then(pl.lit(_NO_ROW_KNOWN))
        .when(pl.col("deleted_at").is_not_null())
        .then(pl.lit(_ROW_DELETED))
        .otherwise(pl.lit(_NOT_EMITTED))
        .alias("cause"),
    )


def stream_claims(connection: Psycopg, subject: Subject, seed: int) -> Iterator[npt.NDArray[np.int64]]:
    """Stream a number of each legacy key that a live crosswalk row claims: keys that are the same have the same.

    The server packs those of a range of pages into one answer.
    """
    tables = [subject.table_numbers[table] for table in subject.tables]
    for low, high in plan_pages(connection, subject, _CROSSWALK):
        query = sql.SQL("select string_agg(int8send({}), ''::bytea) from mig.crosswalk where {} and {}").format(
            _CLAIM, _CLAIMED, pages_between(low, high)
        )
        row = connection.execute(query, (seed, subject.department.code, tables), binary=True).fetchone()
        if row is not None and row[0]:
            yield np.frombuffer(row[0], ">i8").astype(np.int64)


def find_doubled_keys(connection: Psycopg, subject: Subject, seed: int, claims: Sequence[int]) -> pl.DataFrame:
    """Find legacy keys that two live crosswalk rows claim, among those that have the numbers given under a seed.

    A list of differences with legacy_table.
    """
    names = {subject.table_numbers[table]: table for table in subject.tables}
    query = sql.SQL(
        "with claimed as materialized (select id, source_table_no, source_key from mig.crosswalk"
        " where {} = any(%s::bigint[]) and {}),"
        " doubled as (select source_table_no, source_key from claimed group by 1, 2 having count(*) > 1)"
        " select id::text, source_table_no::text, source_key from claimed"
        " join doubled using (source_table_no, source_key) order by 2, 3, 1"
    ).format(_CLAIM, _CLAIMED)
    kinds = {"id": Kind.UUID, "source_table_no": Kind.SMALLINT, "source_key": Kind.TEXT}
    bound = (seed, list(claims), subject.department.code, list(names))
    found = read_frame(connection, query, kinds, bound)
    found = found.unique(["source_table_no", "source_key"], keep="first", maintain_order=True)
    mains = {table: subject.book.rulesets[table].main.table for table in subject.tables}
    return found.with_columns(
        pl.col("source_table_no").replace_strict(names, return_dtype=pl.String).alias("legacy_table")
    ).select(
        "source_key",
        pl.col("id").alias("main_id"),
        pl.col("legacy_table").replace_strict(mains, return_dtype=pl.String).alias("canonical_table"),
        "id",
        pl.lit(None, pl.String).alias("column"),
        pl.lit(FindingKind.DUPLICATED.value).alias("kind"),
        pl.lit("two records claim one legacy row").alias("cause"),
        "legacy_table",
    )


def find_explained(connection: Psycopg, subject: Subject, table: str, found: pl.DataFrame) -> pl.DataFrame:
    """Find which differences an open degraded write-back explains: columns id, canonical_table, column.

    An entry explains the columns that its field fills together; one without a column explains that the record itself is
    on one side only; a row that the old system refuses explains every column of its parts: nothing of it was written.
    """
    if found.is_empty():
        return pl.DataFrame(schema=_EXPLAINED)
    listed = find_degraded(connection, subject, pl.concat([found["main_id"], found["id"]]).unique())
    if listed.is_empty():
        return pl.DataFrame(schema=_EXPLAINED)
    cells = degraded_cells(subject, table, listed)
    whole = listed.filter(pl.col("column") == "").select("main_id", "canonical_table")
    refused = listed.filter(pl.col("kind") == REFUSED).select("main_id", "canonical_table")
    is_whole = pl.col("kind").is_in([FindingKind.MISSING_IN_CANONICAL.value, FindingKind.MISSING_IN_LEGACY.value])
    by_main = ["main_id", "canonical_table"]
    explained = [
        found.join(cells, left_on=[*by_main, "column"], right_on=[*by_main, "member"], how="semi"),
        found.filter(is_whole).join(whole, on=by_main, how="semi"),
        found.filter(is_whole).join(whole, left_on=["id", "canonical_table"], right_on=by_main, how="semi"),
        found.join(refused, on=by_main, how="semi"),
    ]
    return pl.concat(explained).select(list(_EXPLAINED)).unique()


def find_degraded(connection: Psycopg, subject: Subject, main_ids: pl.Series) -> pl.DataFrame:
    """Find the open degraded write-backs of rows: main_id, canonical_table, column ('' for the record itself), kind."""
    query = sql.SQL(
        "select main_id::text, canonical_table, coalesce(column_name, '') as \"column\", kind"
        " from mig.degraded_write_back where department_code = %s and state = 'OPEN' and main_id = any(%s::uuid[])"
    )
    kinds = {"main_id": Kind.UUID, "canonical_table": Kind.TEXT, "column": Kind.TEXT, "kind": Kind.TEXT}
    bound = (subject.department.code, uuid_array(main_ids))
    return read_frame(connection, query, kinds, bound, asked=len(main_ids))


def degraded_cells(subject: Subject, table: str, listed: pl.DataFrame) -> pl.DataFrame:
    """Name all columns that degraded fields fill together: main_id, canonical_table, member."""
    groups = (
        field_groups(subject.book.rulesets[table])
        if table in subject.book.rulesets
        else pl.DataFrame(schema={"canonical_table": pl.String, "column": pl.String, "member": pl.String})
    )
    named = listed.filter(pl.col("column") != "")
    grouped = named.join(groups, on=["canonical_table", "column"], how="inner")
    alone = named.select("main_id", "canonical_table", pl.col("column").alias("member"))
    return pl.concat([grouped.select("main_id", "canonical_table", "member"), alone]).unique()


def _known(table: str) -> str:
    return TABLES[table].name
