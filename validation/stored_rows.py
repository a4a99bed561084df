"""Live rows as the store holds them: the records of each part, the crosswalk with its residue, the keys referred to."""

import polars as pl

from mappings.compile import Compiled
from mappings.emission import with_epochs
from mappings.identity import identify
from mappings.outcomes import MapContext
from mappings.plans import ReferencePlan
from store.records import find_crosswalk, find_links, find_owners, read_records
from validation.put_get import StoredRows
from validation.subject import Psycopg, Subject, look_up, main_ids

_KEYS = ("id", "key")


def read_stored(connection: Psycopg, subject: Subject, compiled: Compiled, rows: pl.DataFrame) -> StoredRows:
    """Read what the store holds of the live rows among legacy rows (text columns and source_key)."""
    code, ruleset = subject.department.code, compiled.ruleset
    plain = rows.drop("source_key")
    context = look_up(connection, subject, compiled, plain)
    wanted = pl.DataFrame({"source_key": rows["source_key"]}).with_columns(
        main_ids(subject, context, ruleset.table, rows["source_key"]).alias("id")
    )
    found = find_crosswalk(connection, code, wanted["id"]).filter(
        pl.col("deleted_at").is_null() & (pl.col("source_table_no") == subject.table_numbers[ruleset.table])
    )
    crosswalk = found.join(wanted, on=["id", "source_key"], how="semi").select("id", "source_key", "residue")
    crosswalk = crosswalk.sort("id")
    links = find_links(connection, code, crosswalk["id"])
    parts = {}
    for part in ruleset.parts:
        if part.main:
            owned = crosswalk.select("id", pl.col("id").alias("main_id"))
        else:
            own = links.filter(pl.col("part") == part.name)
            owned = own.select(pl.col("canonical_id").alias("id"), pl.col("id").alias("main_id"))
        records = read_records(connection, part.table, code, owned["id"].unique())
        parts[part.name] = owned.join(records, on="id", how="inner").sort("main_id")
    keys_by_id, dangling = _find_keys(connection, subject, compiled, parts, rows=plain, context=context)
    return StoredRows(parts, crosswalk, keys_by_id, dangling, context.looked_up)


def _find_keys(
    connection: Psycopg,
    subject: Subject,
    compiled: Compiled,
    parts: dict[str, pl.DataFrame],
    *,
    rows: pl.DataFrame,
    context: MapContext,
) -> tuple[dict[str, pl.DataFrame], int]:
    """Find the legacy keys of the rows that records refer to; gives how many ids lead to no row that was loaded.

    Such an id says its key only because computing the id of the raw key gives the same one.
    """
    found: dict[str, list[pl.DataFrame]] = {}
    dangling = 0
    for part in compiled.parts:
        for plan in part.fields:
            if not isinstance(plan, ReferencePlan):
                continue
            ids = parts[part.rule.name][plan.output].drop_nulls().unique().rename("id")
            known = _loaded_keys(connection, subject, plan, ids)
            raw_keys = rows.select(plan.key().alias("key")).to_series().drop_nulls().unique()
            computed = identify(
                with_epochs(raw_keys, plan.table, context),
                source=compiled.source,
                table=plan.table,
                part=plan.part,
                adopted=None,
            )
            unknown = pl.DataFrame({"id": ids}).join(known, on="id", how="anti")
            guessed = unknown.join(pl.DataFrame({"id": computed, "key": raw_keys}), on="id", how="inner")
            dangling += int(parts[part.rule.name][plan.output].is_in(guessed["id"].implode()).sum())
            found.setdefault(plan.table, []).extend([known, guessed.select(_KEYS)])
    return {table: pl.concat(keys).unique("id", keep="first") for table, keys in found.items()}, dangling


def _loaded_keys(connection: Psycopg, subject: Subject, plan: ReferencePlan, ids: pl.Series) -> pl.DataFrame:
    """Look up the keys of rows that were loaded once, deleted ones included: columns id, key."""
    code, number = subject.department.code, subject.table_numbers.get(plan.table)
    if plan.is_main:
        rows = find_crosswalk(connection, code, ids).filter(pl.col("source_table_no") == number)
        return rows.select("id", pl.col("source_key").alias("key"))
    links = find_owners(connection, code, ids).filter(pl.col("part") == plan.part)
    rows = find_crosswalk(connection, code, links["id"].unique()).filter(pl.col("source_table_no") == number)
    return links.join(rows, on="id").select(pl.col("canonical_id").alias("id"), pl.col("source_key").alias("key"))
