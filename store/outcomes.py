"""What was not loaded, and why: quarantine, filtered rows, degraded write-backs; and the keys adopted from the target.

Every function takes the psycopg connection of an open transaction and is idempotent by key, so that a chunk that is
carried again leaves the same lists.
"""

from collections.abc import Mapping
from typing import Any

import polars as pl
import psycopg
from psycopg import sql

from banyan.canonical.columns import Kind
from store.records import RowsPlace, uuid_array
from wire.copy import copy_out
from wire.kinds import POLARS_TYPES

_ADOPTED_KINDS = {"table": Kind.TEXT, "key": Kind.TEXT, "id": Kind.UUID}


def write_quarantine(
    connection: psycopg.Connection[Any], place: RowsPlace, keys_seen: pl.Series, refused: pl.DataFrame
) -> int:
    """List rows and fields no rule may carry (columns source_key, column, cause, raw bytes); gives how many.

    Entries of `keys_seen` that are refused no more are settled: what was repaired at the source leaves the list.
    """
    bound = _bound(place, keys_seen) | {
        "refused": refused["source_key"].to_list(),
        "columns": refused["column"].to_list(),
        "causes": refused["cause"].to_list(),
        "raws": refused["raw"].to_list(),
        "rule": place.rule_id,
    }
    connection.execute(
        "update mig.quarantine q set state = 'SETTLED', decided_at = now(), decided_by = 'run ' || %(run)s::text"
        " where department_code = %(department)s and source_table_no = %(table)s and state = 'OPEN'"
        " and source_key = any(%(keys)s::text[]) and not exists ("
        "  select from unnest(%(refused)s::text[], %(columns)s::text[]) as r(key, col)"
        "  where r.key = q.source_key and r.col is not distinct from q.column_name)",
        bound,
    )
    if refused.is_empty():
        return 0
    return connection.execute(
        "insert into mig.quarantine (department_code, source_table_no, source_key, column_name, cause, raw, rule_id,"
        " run_no, state) select %(department)s, %(table)s, r.key, r.col, r.cause, r.raw, %(rule)s, %(run)s, 'OPEN'"
        " from unnest(%(refused)s::text[], %(columns)s::text[], %(causes)s::text[], %(raws)s::bytea[])"
        " as r(key, col, cause, raw)"
        " on conflict (department_code, source_table_no, source_key, column_name) where state = 'OPEN'"
        " do update set cause = excluded.cause, raw = excluded.raw, rule_id = excluded.rule_id,"
        " run_no = excluded.run_no",
        bound,
    ).rowcount


def write_filtered(
    connection: psycopg.Connection[Any], place: RowsPlace, keys_seen: pl.Series, filtered: pl.DataFrame
) -> int:
    """List rows a named rule keeps out (columns source_key, rule); those filtered no more leave the list."""
    bound = _bound(place, keys_seen) | {
        "filtered": filtered["source_key"].to_list(),
        "rules": filtered["rule"].to_list(),
    }
    connection.execute(
        "delete from mig.filtered_row where department_code = %(department)s and source_table_no = %(table)s"
        " and source_key = any(%(keys)s::text[]) and not source_key = any(%(filtered)s::text[])",
        bound,
    )
    if filtered.is_empty():
        return 0
    return connection.execute(
        "insert into mig.filtered_row (department_code, source_table_no, source_key, rule, run_no)"
        " select %(department)s, %(table)s, f.key, f.rule, %(run)s"
        " from unnest(%(filtered)s::text[], %(rules)s::text[]) as f(key, rule)"
        " on conflict (department_code, source_table_no, source_key)"
        " do update set rule = excluded.rule, run_no = excluded.run_no",
        bound,
    ).rowcount


def find_filtered(connection: psycopg.Connection[Any], place: RowsPlace, keys: pl.Series) -> pl.Series:
    """Give which of these legacy keys a named rule keeps out."""
    rows = connection.execute(
        "select source_key from mig.filtered_row where department_code = %(department)s"
        " and source_table_no = %(table)s and source_key = any(%(keys)s::text[])",
        _bound(place, keys),
    ).fetchall()
    return pl.Series("key", [row[0] for row in rows], dtype=pl.String)


def find_filtered_by(connection: psycopg.Connection[Any], place: RowsPlace, rule: str) -> list[str]:
    """Give the legacy keys that one named rule keeps out."""
    rows = connection.execute(
        "select source_key from mig.filtered_row where department_code = %(department)s"
        " and source_table_no = %(table)s and rule = %(rule)s",
        {"department": place.department_code, "table": place.source_table_no, "rule": rule},
    ).fetchall()
    return [str(row[0]) for row in rows]


def find_adopted(
    connection: psycopg.Connection[Any], department_code: str, numbers: Mapping[str, int], keys: pl.DataFrame
) -> pl.DataFrame:
    """Give the canonical ids of rows born in the target, for the legacy keys given (columns table, key).

    Columns table, key, id, as the mapping context takes them; other ids follow from the legacy key.
    """
    names = {number: name for name, number in numbers.items()}
    bound = {
        "department": department_code,
        "tables": [numbers[name] for name in keys["table"].to_list()],
        "keys": keys["key"].to_list(),
    }
    query = sql.SQL(
        "select a.source_table_no::text, a.source_key, a.id::text"
        " from unnest(%(tables)s::smallint[], %(keys)s::text[]) as w(t, k) join mig.adopted_key a"
        " on a.department_code = %(department)s and a.source_table_no = w.t and a.source_key = w.k"
    )
    frames = list(copy_out(connection, query, _ADOPTED_KINDS, bound))
    schema = {name: POLARS_TYPES[kind] for name, kind in _ADOPTED_KINDS.items()}
    found = pl.concat(frames) if frames else pl.DataFrame(schema=schema)
    return found.with_columns(
        pl.col("table").replace_strict({str(number): name for number, name in names.items()}, return_dtype=pl.String)
    )


def adopt_keys(connection: psycopg.Connection[Any], place: RowsPlace, adopted: pl.DataFrame) -> int:
    """Give rows born in the target their legacy key (columns id, source_key), once and for good."""
    if adopted.is_empty():
        return 0
    return connection.execute(
        "insert into mig.adopted_key (department_code, source_table_no, source_key, id)"
        " select %(department)s, %(table)s, a.key, a.id"
        " from unnest(%(keys)s::text[], %(ids)s::uuid[]) as a(key, id) on conflict do nothing",
        _bound(place, adopted["source_key"]) | {"ids": uuid_array(adopted["id"])},
    ).rowcount


def find_adopted_keys(connection: psycopg.Connection[Any], place: RowsPlace, ids: pl.Series) -> pl.DataFrame:
    """Give the legacy keys already reserved for rows born in the target; columns id, source_key."""
    query = sql.SQL(
        "select id::text, source_key from mig.adopted_key where department_code = %s and source_table_no = %s"
        " and id = any(%s::uuid[])"
    )
    kinds = {"id": Kind.UUID, "source_key": Kind.TEXT}
    bound = (place.department_code, place.source_table_no, uuid_array(ids))
    frames = list(copy_out(connection, query, kinds, bound))
    return pl.concat(frames) if frames else pl.DataFrame(schema={"id": pl.Binary, "source_key": pl.String})


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
        "keys": keys.to_list(),
    }


def bury_rows(connection: psycopg.Connection[Any], place: RowsPlace, ids: pl.Series) -> int:
    """Leave a tombstone for rows whose records people deleted in the target; the records are gone already."""
    bound = {"department": place.department_code, "ids": uuid_array(ids), "run": place.run_no}
    connection.execute(
        "delete from mig.record_link where department_code = %(department)s and id = any(%(ids)s::uuid[])", bound
    )
    return connection.execute(
        "update mig.crosswalk set deleted_at = now(), residue = null, run_no = %(run)s"
        " where department_code = %(department)s and id = any(%(ids)s::uuid[]) and deleted_at is null",
        bound,
    ).rowcount


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
        " where department_code = %(department)s and state = 'OPEN' and main_id = any(%(ids)s::uuid[])",
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
    frames = list(copy_out(connection, query, kinds, (department_code, uuid_array(ids))))
    return pl.concat(frames) if frames else pl.DataFrame(schema=dict.fromkeys(kinds, pl.Binary))
