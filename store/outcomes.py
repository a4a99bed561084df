"""What was not loaded, and why: quarantine, filtered rows, degraded write-backs; and the keys adopted from the target.

Every function takes the psycopg connection of an open transaction and is idempotent by key, so that a chunk that is
carried again leaves the same lists.
"""

from collections.abc import Mapping
from typing import Any, LiteralString

import polars as pl
import psycopg
from psycopg import sql

from banyan.canonical.columns import Kind
from banyan.errors import SourceUnreadable
from store.keys import KeyRing
from store.records import RowsPlace, bury, text_array, uuid_array
from store.row_tables import Departure
from wire.copy import copy_in, read_frame
from wire.kinds import POLARS_TYPES

_ADOPTED_KINDS = {"table": Kind.TEXT, "key": Kind.TEXT, "id": Kind.UUID, "epoch": Kind.SMALLINT}


def write_quarantine(
    connection: psycopg.Connection[Any],
    place: RowsPlace,
    keys_seen: pl.Series,
    refused: pl.DataFrame,
    *,
    keys: KeyRing,
) -> int:
    """List rows and fields no rule may carry (columns source_key, column, cause, raw bytes); gives how many.

    Raw values are sealed, each for its place. Entries of `keys_seen` that are refused no more leave the list: SETTLED
    when they were repaired at the source, REPLAYED when a decision lets them through. What is refused again with
    another value, for another cause, or in spite of a decision, is a new entry: the old one is SETTLED as it was.
    """
    raws = [
        None
        if raw is None
        else keys.seal(
            place.department_code,
            raw,
            place=sealed_place_of(place.department_code, place.source_table_no, key, column=column),
        )
        for key, column, raw in refused.select("source_key", "column", "raw").iter_rows()
    ]
    if keys_seen.is_empty() and _list_refused(connection, place, refused, raws):
        return refused.height
    bound = _bound(place, keys_seen) | {
        "refused": refused["source_key"].to_list(),
        "columns": refused["column"].to_list(),
        "causes": refused["cause"].to_list(),
        "raws": raws,
        "rule": place.rule_id,
    }
    connection.execute(
        "update mig.quarantine q set state = case when decision is null then 'SETTLED' else 'REPLAYED' end,"
        " decided_at = now(), decided_by = 'run ' || %(run)s::text"
        " where department_code = %(department)s and source_table_no = %(table)s and state = 'OPEN'"
        " and source_key = any(%(keys)s::text[]) and not exists ("
        "  select from unnest(%(refused)s::text[], %(columns)s::text[]) as r(key, col)"
        "  where r.key = q.source_key and r.col is not distinct from q.column_name)",
        bound,
    )
    if refused.is_empty():
        return 0
    _settle_changed(connection, bound, refused, keys)
    return connection.execute(
        "insert into mig.quarantine (department_code, source_table_no, source_key, column_name, cause, raw, rule_id,"
        " run_no, state) select %(department)s, %(table)s, r.key, r.col, r.cause, r.raw, %(rule)s, %(run)s, 'OPEN'"
        " from unnest(%(refused)s::text[], %(columns)s::text[], %(causes)s::text[], %(raws)s::bytea[])"
        " as r(key, col, cause, raw)"
        " on conflict (department_code, source_table_no, source_key, column_name) where state = 'OPEN'"
        " do update set rule_id = excluded.rule_id, run_no = excluded.run_no",
        bound,
    ).rowcount


def _settle_changed(
    connection: psycopg.Connection[Any], bound: dict[str, object], refused: pl.DataFrame, keys: KeyRing
) -> None:
    """Close the open entries whose refusal is another one now; their value, cause and decision stay as they were."""
    now = {(key, column): (cause, raw) for key, column, cause, raw in refused.iter_rows()}
    found = connection.execute(
        "select quarantine_no, source_key, column_name, cause, raw, decision is not null from mig.quarantine"
        " where department_code = %(department)s and source_table_no = %(table)s and state = 'OPEN'"
        " and source_key = any(%(refused)s::text[])",
        bound,
    ).fetchall()
    changed = [
        number
        for number, key, column, cause, sealed, is_decided in found
        if is_decided or now.get((key, column)) != (cause, _open(keys, bound, (key, column), sealed))
    ]
    if changed:
        connection.execute(
            "update mig.quarantine set state = 'SETTLED', decided_at = now(), decided_by = 'run ' || %(run)s::text"
            " where quarantine_no = any(%(changed)s::bigint[])",
            bound | {"changed": changed},
        )


def _open(
    keys: KeyRing, bound: Mapping[str, object], cell: tuple[str, str | None], sealed: bytes | None
) -> bytes | None:
    """Open what was refused before; one that does not open any more is another one than today's."""
    department, table = str(bound["department"]), int(str(bound["table"]))
    try:
        place = sealed_place_of(department, table, cell[0], column=cell[1])
        return None if sealed is None else keys.open(bytes(sealed), place=place)
    except SourceUnreadable:
        return b"\xff: no text of today"


def _list_refused(
    connection: psycopg.Connection[Any], place: RowsPlace, refused: pl.DataFrame, sealed: list[bytes | None]
) -> bool:
    """Copy what is refused of rows read for the first time straight into the list; False when some of it is there."""
    rows = refused.select(
        *_placed(place),
        "source_key",
        pl.col("column").alias("column_name"),
        "cause",
        pl.lit(place.rule_id).alias("rule_id"),
        pl.lit("OPEN").alias("state"),
    ).hstack([pl.Series("raw", sealed, dtype=pl.Binary)])
    return rows.is_empty() or _copied(connection, "quarantine", rows)


def sealed_place_of(department_code: str, source_table_no: int, key: str, *, column: str | None) -> str:
    """Name the one place where a quarantined value opens."""
    return f"quarantine/{department_code}/{source_table_no}/{column or ''}/{key}"


def write_filtered(
    connection: psycopg.Connection[Any], place: RowsPlace, keys_seen: pl.Series, filtered: pl.DataFrame
) -> int:
    """List rows a named rule keeps out; those filtered no more leave the list.

    Columns source_key, rule, and parent_key: the row of another table that it follows, where it follows one.
    """
    if filtered.is_empty() and keys_seen.is_empty():
        return 0
    if keys_seen.is_empty() and _list_filtered(connection, place, filtered):
        return filtered.height
    parents = filtered["parent_key"] if "parent_key" in filtered.columns else pl.Series([None] * filtered.height)
    bound = _bound(place, keys_seen) | {
        "filtered": text_array(filtered["source_key"]),
        "rules": text_array(filtered["rule"]),
        "parents": parents.to_list(),
    }
    connection.execute(
        "delete from mig.filtered_row where department_code = %(department)s and source_table_no = %(table)s"
        " and source_key = any(%(keys)s::text[]) and not source_key = any(%(filtered)s::text[])",
        bound,
    )
    if filtered.is_empty():
        return 0
    return connection.execute(
        "insert into mig.filtered_row (department_code, source_table_no, source_key, rule, run_no, parent_key)"
        " select %(department)s, %(table)s, f.key, f.rule, %(run)s, f.parent"
        " from unnest(%(filtered)s::text[], %(rules)s::text[], %(parents)s::text[]) as f(key, rule, parent)"
        " on conflict (department_code, source_table_no, source_key)"
        " do update set rule = excluded.rule, run_no = excluded.run_no, parent_key = excluded.parent_key",
        bound,
    ).rowcount


def _list_filtered(connection: psycopg.Connection[Any], place: RowsPlace, filtered: pl.DataFrame) -> bool:
    """Copy rows that are read for the first time straight into the list; False when one of them stands there."""
    parents = "parent_key" if "parent_key" in filtered.columns else pl.lit(None, pl.String).alias("parent_key")
    rows = filtered.select(*_placed(place), "source_key", "rule", parents)
    return _copied(connection, "filtered_row", rows)


def _placed(place: RowsPlace) -> tuple[pl.Expr, ...]:
    return (
        pl.lit(place.department_code).alias("department_code"),
        pl.lit(place.source_table_no, pl.Int16).alias("source_table_no"),
        pl.lit(place.run_no, pl.Int64).alias("run_no"),
    )


def _copied(connection: psycopg.Connection[Any], table: LiteralString, rows: pl.DataFrame) -> bool:
    try:
        with connection.transaction():  # a savepoint: the caller's transaction goes on
            copy_in(connection, sql.Identifier("mig", table), rows)
    except psycopg.errors.UniqueViolation:
        return False
    return True


def find_filtered(connection: psycopg.Connection[Any], place: RowsPlace, keys: pl.Series) -> pl.Series:
    """Give which of these legacy keys a named rule keeps out."""
    rows = connection.execute(
        "select source_key from mig.filtered_row where department_code = %(department)s"
        " and source_table_no = %(table)s and source_key = any(%(keys)s::text[])",
        _bound(place, keys),
    ).fetchall()
    return pl.Series("key", [row[0] for row in rows], dtype=pl.String)


def find_filtered_by(
    connection: psycopg.Connection[Any], place: RowsPlace, rule: str, *, parents: pl.Series
) -> list[str]:
    """Give the legacy keys that one named rule keeps out because they follow one of these parents."""
    rows = connection.execute(
        "select source_key from mig.filtered_row where department_code = %(department)s"
        " and source_table_no = %(table)s and parent_key = any(%(keys)s::text[]) and rule = %(rule)s",
        _bound(place, parents) | {"rule": rule},
    ).fetchall()
    return [str(row[0]) for row in rows]


def has_adopted(connection: psycopg.Connection[Any], department_code: str) -> bool:
    """Tell whether any legacy key of a department leads to another identifier than the one computed from it."""
    query = "select exists (select from mig.adopted_key where department_code = %s)"
    row = connection.execute(query, (department_code,)).fetchone()
    return row is not None and bool(row[0])


def find_adopted(
    connection: psycopg.Connection[Any], department_code: str, numbers: Mapping[str, int], keys: pl.DataFrame
) -> pl.DataFrame:
    """Give the canonical ids of rows born in the target, and of keys used again, among legacy keys (table, key).

    Columns table, key, id, epoch; a key that was used again is given with its last epoch. Other ids follow from the
    legacy key.
    """
    if keys.is_empty() or not has_adopted(connection, department_code):
        return pl.DataFrame(schema={name: POLARS_TYPES[kind] for name, kind in _ADOPTED_KINDS.items()})
    names = {number: name for name, number in numbers.items()}
    bound = {
        "department": department_code,
        "tables": [numbers[name] for name in keys["table"].to_list()],
        "keys": text_array(keys["key"]),
    }
    query = sql.SQL(
        "select distinct on (a.source_table_no, a.source_key) a.source_table_no::text, a.source_key, a.id::text,"
        " a.key_epoch::text"
        " from unnest(%(tables)s::smallint[], %(keys)s::text[]) as w(t, k) join mig.adopted_key a"
        " on a.department_code = %(department)s and a.source_table_no = w.t and a.source_key = w.k"
        " order by a.source_table_no, a.source_key, a.key_epoch desc"
    )
    found = read_frame(connection, query, _ADOPTED_KINDS, bound, asked=keys.height)
    return found.with_columns(
        pl.col("table").replace_strict({str(number): name for number, name in names.items()}, return_dtype=pl.String)
    )


def adopt_keys(connection: psycopg.Connection[Any], place: RowsPlace, adopted: pl.DataFrame) -> int:
    """Give records their legacy key (columns id, source_key, and key_epoch of a key used again), once and for good."""
    if adopted.is_empty():
        return 0
    epochs = adopted["key_epoch"].to_list() if "key_epoch" in adopted.columns else [0] * adopted.height
    return connection.execute(
        "insert into mig.adopted_key (department_code, source_table_no, source_key, id, key_epoch)"
        " select %(department)s, %(table)s, a.key, a.id, a.epoch"
        " from unnest(%(keys)s::text[], %(ids)s::uuid[], %(epochs)s::smallint[]) as a(key, id, epoch)"
        " on conflict do nothing",
        _bound(place, adopted["source_key"]) | {"ids": uuid_array(adopted["id"]), "epochs": epochs},
    ).rowcount


def find_adopted_keys(connection: psycopg.Connection[Any], place: RowsPlace, ids: pl.Series) -> pl.DataFrame:
    """Give the legacy keys already reserved for rows born in the target; columns id, source_key."""
    query = sql.SQL(
        "select id::text, source_key from mig.adopted_key where department_code = %s and source_table_no = %s"
        " and id = any(%s::uuid[])"
    )
    kinds = {"id": Kind.UUID, "source_key": Kind.TEXT}
    bound = (place.department_code, place.source_table_no, uuid_array(ids))
    return read_frame(connection, query, kinds, bound, asked=len(ids))


def write_degraded(connection: psycopg.Connection[Any], place: RowsPlace, degraded: pl.DataFrame) -> int:
    """List edits the old system cannot say (columns source_key, main_id, canonical_table, column, kind, cause)."""
    if degraded.is_empty():
        return 0
    distinct = degraded.unique(["main_id", "canonical_table", "column"], keep="first", maintain_order=True)
    bound = _bound(place, distinct["source_key"]) | {
        "ids": uuid_array(distinct["main_id"]),
        "tables": distinct["canonical_table"].to_list(),
        "columns": distinct["column"].to_list(),
        "kinds": distinct["kind"].to_list(),
        "causes": distinct["cause"].to_list(),
    }
    return connection.execute(
        "insert into mig.degraded_write_back (department_code, source_table_no, source_key, main_id, canonical_table,"
        " column_name, kind, cause, run_no, state)"
        " select %(department)s, %(table)s, d.key, d.id, d.tab, d.col, d.kind, d.cause, %(run)s, 'OPEN'"
        " from unnest(%(keys)s::text[], %(ids)s::uuid[], %(tables)s::text[], %(columns)s::text[], %(kinds)s::text[],"
        " %(causes)s::text[]) as d(key, id, tab, col, kind, cause)"
        " on conflict (department_code, main_id, canonical_table, column_name) where state = 'OPEN'"
        " do update set kind = excluded.kind, cause = excluded.cause, run_no = excluded.run_no",
        bound,
    ).rowcount


def _bound(place: RowsPlace, keys: pl.Series) -> dict[str, Any]:
    return {
        "department": place.department_code,
        "table": place.source_table_no,
        "run": place.run_no,
        "keys": text_array(keys),
    }


def bury_rows(connection: psycopg.Connection[Any], place: RowsPlace, ids: pl.Series) -> int:
    """Leave a tombstone for rows whose records people deleted in the target; the records are gone already."""
    return bury(connection, place, ids, reason=Departure.REMOVED)


def unlink_parts(connection: psycopg.Connection[Any], department_code: str, links: pl.DataFrame) -> int:
    """Forget links (columns id, part) to parts that people deleted in the target."""
    if links.is_empty():
        return 0
    return connection.execute(
        "delete from mig.record_link l using unnest(%(ids)s::uuid[], %(parts)s::text[]) as s(id, part)"
        " where l.department_code = %(department)s and l.id = s.id and l.part = s.part",
        {"department": department_code, "ids": uuid_array(links["id"]), "parts": links["part"].to_list()},
    ).rowcount


def settle_degraded(connection: psycopg.Connection[Any], department_code: str, main_ids: pl.Series) -> int:
    """Take rows off the list of degraded write-backs, once both sides say the same again."""
    return connection.execute(
        "update mig.degraded_write_back set state = 'SETTLED'"
        " where department_code = %(department)s and state = 'OPEN' and main_id = any(%(ids)s::uuid[])"
        " and kind not in ('CONFLICT', 'OVERWRITTEN')",  # what was lost on the other side stays listed
        {"department": department_code, "ids": uuid_array(main_ids)},
    ).rowcount


def find_attached(
    connection: psycopg.Connection[Any], table: str, column: str, department_code: str, ids: pl.Series
) -> pl.DataFrame:
    """Find the records of a canonical table that refer to some ids by a column; columns id, main_id."""
    query = sql.SQL(
        "select id::text, {column}::text from {table} where department_code = %s and {column} = any(%s::uuid[])"
    ).format(column=sql.Identifier(column), table=sql.Identifier("justice", table))
    kinds = {"id": Kind.UUID, "main_id": Kind.UUID}
    return read_frame(connection, query, kinds, (department_code, uuid_array(ids)), asked=len(ids))
