"""Canonical records and their crosswalk: written and read in bulk, inside the caller's transaction.

Every function takes the psycopg connection of an open transaction (`store.postgres.raw`). Frames carry UUIDs as the 16
bytes of a Binary column. All rows of one frame belong to one department.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, LiteralString

import polars as pl
import psycopg
from psycopg import sql

from banyan.canonical.model import TABLES, TAIL, Kind
from banyan.errors import UsageError
from banyan.records import PartCounts
from store.buckets import mark_buckets
from store.merge import MergeShape, append, merge
from store.row_tables import Departure
from wire.copy import read_frame, text_projection
from wire.kinds import POLARS_TYPES

_STAMPED = ("row_version", "updated_at")
_KEYS = ("id", "department_code")
_NOT_STORED = ("source_key", "main_id")
_FEW = 1_000
"""Up to so many keys, rows are read at once and texts quoted one by one."""
_REMEMBERED = tuple(
    sql.Identifier("mig", name) for name in ("crosswalk", "record_link", "filtered_row", "quarantine", "retention_term")
)
CROSSWALK_KINDS: dict[str, Kind] = {
    "id": Kind.UUID,
    "source_table_no": Kind.SMALLINT,
    "source_key": Kind.TEXT,
    "key_epoch": Kind.SMALLINT,
    "row_hash": Kind.BYTES,
    "residue": Kind.BYTES,
    "rule_id": Kind.TEXT,
    "run_no": Kind.BIGINT,
    "deleted_at": Kind.INSTANT,
    "deleted_reason": Kind.TEXT,
}
LINK_KINDS: dict[str, Kind] = {
    "id": Kind.UUID,
    "part": Kind.TEXT,
    "canonical_table": Kind.TEXT,
    "canonical_id": Kind.UUID,
}
_CROSSWALK = MergeShape(
    "mig",
    "crosswalk",
    compared=(
        "source_table_no",
        "source_key",
        "key_epoch",
        "row_hash",
        "residue",
        "rule_id",
        "deleted_at",
        "deleted_reason",
    ),
    carried=("run_no",),
    uuids=frozenset({"id"}),
)
_LINKS = MergeShape(
    "mig",
    "record_link",
    compared=("canonical_table", "canonical_id"),
    keys=("id", "department_code", "part"),
    uuids=frozenset({"id", "canonical_id"}),
)


@dataclass(frozen=True, slots=True)
class RowsPlace:
    """Where the rows of one chunk come from: department, legacy table, and the run and rule that carry them."""

    department_code: str
    source_table_no: int
    run_no: int
    rule_id: str


@dataclass(frozen=True, slots=True)
class RowsWritten:
    """What became of the crosswalk rows of a chunk, and how many parts their rows no longer emit were removed."""

    inserted: int
    updated: int
    unchanged: int
    parts_removed: int


def write_parts(
    connection: psycopg.Connection[Any], table: str, frame: pl.DataFrame, *, is_first: bool = False
) -> PartCounts:
    """Insert the parts that are new, update those that differ; several rows that emit one id are counted as merged.

    Columns the frame does not have keep their value. `source_key` and `main_id` may be present and are not stored.
    `is_first` says that the rows were never carried before, so that nothing is looked for.
    """
    if frame.is_empty():
        return PartCounts()
    typed = _typed(table, frame)
    departments = typed["department_code"].unique()
    if len(departments) != 1 or departments[0] is None:
        raise UsageError(f"the parts of {table} are of {len(departments)} departments; none was written", table=table)
    distinct = typed
    if typed["id"].n_unique() < typed.height:
        distinct = typed.unique(_KEYS, keep="last", maintain_order=True)
    compared = tuple(name for name in distinct.columns if name not in (*_KEYS, "origin"))
    uuids = frozenset(name for name, kind in record_kinds(table).items() if kind is Kind.UUID)
    shape = MergeShape("justice", table, compared, born=("origin",), is_versioned=True, uuids=uuids)
    write = append if is_first else merge
    counts = write(connection, shape, departments[0], distinct.select(shape.columns))
    if counts.inserted or counts.updated:
        mark_buckets(connection, table, departments[0], distinct["id"])
    return PartCounts(
        emitted=typed.height,
        inserted=counts.inserted,
        updated=counts.updated,
        unchanged=counts.unchanged,
        merged=typed.height - distinct.height,
    )


def write_crosswalk(
    connection: psycopg.Connection[Any],
    place: RowsPlace,
    crosswalk: pl.DataFrame,
    links: pl.DataFrame,
    *,
    is_first: bool = False,
) -> RowsWritten:
    """Remember rows (id, source_key, key_epoch, row_hash, residue) and their links (id, part, canonical_table,
    canonical_id).

    A part a row emitted before and does not emit now is removed with its link, unless another row shares it. A row
    that had been deleted comes back. `is_first` says that the rows were never carried before.
    """
    if crosswalk.is_empty():
        return RowsWritten(0, 0, 0, 0)
    write = append if is_first else merge
    known = links.clear() if is_first else find_links(connection, place.department_code, crosswalk["id"])
    stale = known if known.is_empty() else known.join(links[list(LINK_KINDS)], on=list(LINK_KINDS), how="anti")
    rows = crosswalk.select(
        pl.col("id"),
        pl.lit(place.department_code).alias("department_code"),
        pl.lit(place.source_table_no, pl.Int16).alias("source_table_no"),
        pl.col("source_key"),
        pl.col("key_epoch").cast(pl.Int16),
        pl.col("row_hash"),
        pl.col("residue").cast(pl.Binary),
        pl.lit(place.rule_id).alias("rule_id"),
        pl.lit(None, pl.Datetime("us", "UTC")).alias("deleted_at"),
        pl.lit(None, pl.String).alias("deleted_reason"),
        pl.lit(place.run_no, pl.Int64).alias("run_no"),
    )
    counts = write(connection, _CROSSWALK, place.department_code, rows)
    write(connection, _LINKS, place.department_code, _links_of(place.department_code, links))
    removed = _remove_links(connection, place.department_code, stale)
    return RowsWritten(counts.inserted, counts.updated, counts.unchanged, removed)


def _links_of(department_code: str, links: pl.DataFrame) -> pl.DataFrame:
    return links.select(
        "id", pl.lit(department_code).alias("department_code"), "part", "canonical_table", "canonical_id"
    )


def hold_shared(connection: psycopg.Connection[Any], place: RowsPlace) -> None:
    """Let one transaction at a time write rows of a legacy table that share records, to the end of the transaction.

    Two workers that meet the same record would both insert it, or one would remove what the other just linked.
    """
    connection.execute(
        "select pg_advisory_xact_lock(hashtext('banyan shared ' || %s), %s)",
        (place.department_code, place.source_table_no),
    )


def note_row_hashes(connection: psycopg.Connection[Any], place: RowsPlace, hashes: pl.DataFrame) -> int:
    """Remember how rows stand that no rule would load again (columns id, row_hash); their residue stays."""
    if hashes.is_empty():
        return 0
    return connection.execute(
        "update mig.crosswalk c set row_hash = h.row_hash, run_no = %(run)s"
        " from unnest(%(ids)s::uuid[], %(hashes)s::bytea[]) as h(id, row_hash)"
        " where c.department_code = %(department)s and c.id = h.id and c.row_hash is distinct from h.row_hash",
        {
            "department": place.department_code,
            "run": place.run_no,
            "ids": uuid_array(hashes["id"]),
            "hashes": hashes["row_hash"].to_list(),
        },
    ).rowcount


def delete_rows(
    connection: psycopg.Connection[Any], place: RowsPlace, main_table: str, ids: pl.Series, *, reason: Departure
) -> dict[str, int]:
    """Remove the records of rows that are gone, by their main ids; gives how many were removed of each table.

    The crosswalk keeps a tombstone without residue that says why. A part another row shares stays.
    """
    if ids.is_empty():
        return {}
    links = find_links(connection, place.department_code, ids)
    removed: dict[str, int] = {}
    for name, gone in _gone(connection, place.department_code, links, ids).items():
        removed[name] = delete_records(connection, name, place.department_code, gone)
    removed[main_table] = removed.get(main_table, 0) + delete_records(
        connection, main_table, place.department_code, ids
    )
    bury(connection, place, ids, reason=reason)
    return removed


def bury(connection: psycopg.Connection[Any], place: RowsPlace, ids: pl.Series, *, reason: Departure) -> int:
    """Leave tombstones for rows whose records are gone already; a row that was only marked may still go for good."""
    bound = {"department": place.department_code, "ids": uuid_array(ids), "run": place.run_no, "reason": reason.value}
    connection.execute(
        "delete from mig.record_link where department_code = %(department)s and id = any(%(ids)s::uuid[])", bound
    )
    return connection.execute(
        "update mig.crosswalk set deleted_at = coalesce(deleted_at, now()), deleted_reason = %(reason)s,"
        " residue = null, run_no = %(run)s where department_code = %(department)s and id = any(%(ids)s::uuid[])"
        " and (deleted_at is null or deleted_reason is distinct from %(reason)s and %(reason)s = 'GONE')",
        bound,
    ).rowcount


def delete_records(connection: psycopg.Connection[Any], table: str, department_code: str, ids: pl.Series) -> int:
    """Delete canonical records by id; gives how many there were."""
    if ids.is_empty():
        return 0
    statement = sql.SQL("delete from {} where department_code = %s and id = any(%s::uuid[])").format(_canonical(table))
    deleted = connection.execute(statement, (department_code, uuid_array(ids))).rowcount
    if deleted:
        mark_buckets(connection, table, department_code, ids)
    return deleted


def index_references(connection: psycopg.Connection[Any], department_code: str) -> int:
    """Index what a department's records refer to, after its first copy; gives how many indexes were missing."""
    row = connection.execute("select mig.index_references(%s)", (department_code,)).fetchone()
    return 0 if row is None else int(row[0])


def analyze_records(connection: psycopg.Connection[Any]) -> None:
    """Count the values of the store's tables for its planner: without it the first rules take twenty times longer."""
    for table in (*(sql.Identifier("justice", name) for name in TABLES), *_REMEMBERED):
        connection.execute(sql.SQL("analyze {}").format(table))


def _remove_links(connection: psycopg.Connection[Any], department_code: str, stale: pl.DataFrame) -> int:
    """Remove parts their rows no longer emit; links of the same part were already rewritten by the MERGE."""
    if stale.is_empty():
        return 0
    pairs = {"department": department_code, "ids": uuid_array(stale["id"]), "parts": stale["part"].to_list()}
    connection.execute(
        "delete from mig.record_link l using unnest(%(ids)s::uuid[], %(parts)s::text[], %(targets)s::uuid[])"
        " as s(id, part, target) where l.department_code = %(department)s and l.id = s.id and l.part = s.part"
        " and l.canonical_id = s.target",
        {**pairs, "targets": uuid_array(stale["canonical_id"])},
    )
    gone = _gone(connection, department_code, stale, stale["id"].clear())
    return sum(delete_records(connection, name, department_code, ids) for name, ids in gone.items())


def _gone(
    connection: psycopg.Connection[Any], department_code: str, links: pl.DataFrame, leaving: pl.Series
) -> dict[str, pl.Series]:
    """Give, by table, the parts of links that no row outside those leaving still shares."""
    if links.is_empty():
        return {}
    query = sql.SQL(
        "select canonical_id::text as id from mig.record_link where department_code = %s"
        " and canonical_id = any(%s::uuid[]) and not id = any(%s::uuid[])"
    )
    bound = (department_code, uuid_array(links["canonical_id"]), uuid_array(leaving))
    shared = read_frame(connection, query, {"id": Kind.UUID}, bound, asked=links.height)
    free = links.join(shared, left_on="canonical_id", right_on="id", how="anti")
    return {str(name): part["canonical_id"].unique() for (name,), part in free.group_by("canonical_table")}


def find_crosswalk(
    connection: psycopg.Connection[Any], department_code: str, ids: pl.Series, *, only_deleted: bool = False
) -> pl.DataFrame:
    """Find crosswalk rows by main id, deleted ones included or alone; columns as in CROSSWALK_KINDS."""
    query = _select("crosswalk", f"id = any(%s::uuid[]){' and deleted_at is not null' if only_deleted else ''}")
    return read_frame(connection, query, CROSSWALK_KINDS, (department_code, uuid_array(ids)), asked=len(ids))


def find_crosswalk_by_key(connection: psycopg.Connection[Any], place: RowsPlace, keys: Iterable[str]) -> pl.DataFrame:
    """Find crosswalk rows by legacy key. Reads the department's whole partition: for people, not for loops.

    A loop computes the id of a legacy key, or reads adopted keys, and uses `find_crosswalk`.
    """
    query = _select("crosswalk", "source_table_no = %s and source_key = any(%s::text[])")
    wanted = list(keys)
    bound = (place.department_code, place.source_table_no, wanted)
    return read_frame(connection, query, CROSSWALK_KINDS, bound, asked=len(wanted))


def find_links(connection: psycopg.Connection[Any], department_code: str, ids: pl.Series) -> pl.DataFrame:
    """Find the links of rows by main id; columns as in LINK_KINDS."""
    query = _select("record_link", "id = any(%s::uuid[])")
    return read_frame(connection, query, LINK_KINDS, (department_code, uuid_array(ids)), asked=len(ids))


def find_owners(connection: psycopg.Connection[Any], department_code: str, ids: pl.Series) -> pl.DataFrame:
    """Find the links that lead to canonical records, by the records' ids; columns as in LINK_KINDS.

    The main part of a row has no link: its id is the crosswalk's own.
    """
    query = _select("record_link", "canonical_id = any(%s::uuid[])")
    return read_frame(connection, query, LINK_KINDS, (department_code, uuid_array(ids)), asked=len(ids))


def read_records(
    connection: psycopg.Connection[Any], table: str, department_code: str, ids: pl.Series, columns: Collection[str] = ()
) -> pl.DataFrame:
    """Read canonical records by id: some columns beside the id, or all of them, tail included."""
    every = record_kinds(table)
    kinds = {name: every[name] for name in ("id", *columns)} if columns else every
    query = sql.SQL("select {} from {} where department_code = %s and id = any(%s::uuid[])").format(
        _projection(kinds), _canonical(table)
    )
    return read_frame(connection, query, kinds, (department_code, uuid_array(ids)), asked=len(ids))


def record_kinds(table: str) -> dict[str, Kind]:
    """Give the kind of each stored column of a canonical table, tail included."""
    if table not in TABLES:
        raise UsageError(f"there is no canonical table {table}; nothing was read or written", table=table)
    return {column.name: column.kind for column in (*TABLES[table].columns, *TAIL)}


def uuid_array(ids: pl.Series) -> str:
    """Give identifiers as the text of a PostgreSQL uuid array."""
    if len(ids) <= _FEW:
        return "{" + ",".join(each.hex() for each in ids.to_list() if each is not None) + "}"
    return "{" + ",".join(ids.drop_nulls().bin.encode("hex").to_list()) + "}"


def text_array(texts: pl.Series) -> str:
    """Give texts as the text of a PostgreSQL text array: built at once, where a driver would quote them one by one."""
    if len(texts) <= _FEW:
        each_quoted = ("NULL" if text is None else _quoted(str(text)) for text in texts.to_list())
        return "{" + ",".join(each_quoted) + "}"
    quoted = texts.cast(pl.String).str.replace_all("\\", "\\\\", literal=True).str.replace_all('"', '\\"', literal=True)
    each = pl.DataFrame({"text": quoted}).select(
        pl.concat_str(pl.lit('"'), pl.col("text"), pl.lit('"')).fill_null("NULL").str.join(",")
    )
    return "{" + str(each.item() or "") + "}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _canonical(table: str) -> sql.Composable:
    record_kinds(table)
    return sql.Identifier("justice", table)


def _typed(table: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Keep the stored columns; refuse a column the table does not have or whose type is not its kind's."""
    kinds = record_kinds(table)
    names = [name for name in frame.columns if name not in (*_NOT_STORED, *_STAMPED)]
    missing = [name for name in (*_KEYS, "domain_code", "origin") if name not in names]
    unknown = [name for name in names if name not in kinds]
    if missing or unknown:
        raise UsageError(
            f"parts of {table} lack {missing} or have unknown columns {unknown}; none was written", table=table
        )
    schema = frame.schema
    wrong = [name for name in names if schema[name] not in (POLARS_TYPES[kinds[name]], pl.Null())]
    if wrong:
        found = {name: str(schema[name]) for name in wrong}
        raise UsageError(f"parts of {table} have columns of another type: {found}; none was written", table=table)
    if all(schema[name] == POLARS_TYPES[kinds[name]] for name in names):
        return frame[names]
    return frame.select(pl.col(name).cast(POLARS_TYPES[kinds[name]]) for name in names)


@cache
def _select(table: Literal["crosswalk", "record_link"], condition: LiteralString) -> sql.SQL:
    kinds = CROSSWALK_KINDS if table == "crosswalk" else LINK_KINDS
    query = sql.SQL("select {} from {} where department_code = %s and {}").format(
        _projection(kinds), sql.Identifier("mig", table), sql.SQL(condition)
    )
    return sql.SQL(query.as_string())  # type: ignore[arg-type]  # put together once, from names quoted above


def _projection(kinds: Mapping[str, Kind]) -> sql.Composable:
    return sql.SQL(", ").join(text_projection(name, kind) for name, kind in kinds.items())
