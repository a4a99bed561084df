"""Keys that the old system used again, as a batch meets them: found against the store, which knows who had the key.

A row that was seen gone and stands again with other content is another one. A row that stood all the time is another
one when every column that `key_reuse` names says something else than the store remembers of it, to the byte. The
records of whoever had the key before are deleted, the crosswalk keeps both, and rows that refer to the key are read
again: they are about the new one now.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import polars as pl

from mappings.digest import hash_rows
from mappings.engine import Compiled, Lookups, MapContext, write_texts
from mappings.epochs import find_reused, grow_epochs
from mappings.identity import identify
from mappings.model import Ruleset
from mappings.narrow import narrow
from mappings.plans import ReferencePlan
from store.outcomes import adopt_keys, find_adopted_keys, find_attached
from store.postgres import raw, transaction
from store.records import RowsPlace, delete_rows, find_crosswalk, find_links, find_owners, read_records
from store.row_tables import Departure
from store.runs import ChunkPlan
from sync.scope import ScopeFinder
from sync.setting import Psycopg, Setting, keys_of

_OWNERS = {"source_key": pl.String, "id": pl.Binary, "key_epoch": pl.Int16}


@dataclass(frozen=True, slots=True)
class Reused:
    """The keys of a batch that stand for something else now: who had each before, and who has it now."""

    context: MapContext = field(repr=False)
    """The context of the batch, in which these keys have their new epoch and nobody's identifiers."""
    before: pl.DataFrame = field(repr=False)
    """Columns source_key, id, key_epoch."""
    now: pl.DataFrame = field(repr=False)
    """Columns source_key, id, key_epoch."""


def reuse_nothing(held: MapContext) -> Reused:
    """Give the answer for rows that are read for the first time."""
    nobody = pl.DataFrame(schema=_OWNERS)
    return Reused(held, nobody, nobody)


def find_reuse(connection: Psycopg, setting: Setting, ruleset: Ruleset, rows: pl.DataFrame, held: MapContext) -> Reused:
    """Find which keys of a batch were used again since the store last heard of them; changes nothing."""
    if rows.is_empty() or held.adopted is None:
        return reuse_nothing(held)
    compiled = setting.compiled(ruleset.table)
    keys, mains = keys_of(ruleset, rows), held.adopted
    if not mains.is_empty():
        mains = mains.filter(pl.col("part").is_null())
    ids = setting.main_ids(ruleset.table, keys, mains)
    known = find_crosswalk(connection, setting.department.code, ids, only_deleted=not ruleset.key_reuse)
    if known.is_empty():
        return reuse_nothing(held)  # nothing is asked of rows that stood all the time, and none was gone
    hashes = hash_rows(rows, compiled.hashed, key=held.digest_key)
    standing = pl.DataFrame({"source_key": keys, "id": ids, "row_hash now": hashes})
    known = known.filter(pl.col("source_table_no") == setting.table_numbers[ruleset.table])
    moved = standing.join(known.drop("source_key"), on="id").filter(pl.col("row_hash") != pl.col("row_hash now"))
    gone = moved.filter(_was_gone(ruleset))["source_key"]
    there = moved.filter(pl.col("deleted_at").is_null())
    turned = pl.Series("key", [], dtype=pl.String)
    if ruleset.key_reuse and not there.is_empty():
        before = _recall(connection, setting, ruleset, there, held.looked_up)
        turned = find_reused(ruleset, before, rows)
    again = pl.concat([gone, turned.alias("source_key")]).unique(maintain_order=True)
    if again.is_empty():
        return reuse_nothing(held)
    owners = moved.filter(pl.col("source_key").is_in(again.implode())).select(list(_OWNERS))
    return _give_epochs(setting, ruleset, held, owners)


def _was_gone(ruleset: Ruleset) -> pl.Expr:
    """Tell whether a row was physically gone: what is marked, filtered or taken back stood there all the time."""
    reasons = [Departure.GONE.value, *([] if ruleset.deletes is not None else [Departure.REMOVED.value])]
    return pl.col("deleted_at").is_not_null() & pl.col("deleted_reason").is_in(reasons).fill_null(value=False)


def _recall(
    connection: Psycopg, setting: Setting, ruleset: Ruleset, there: pl.DataFrame, looked_up: Mapping[str, pl.DataFrame]
) -> pl.DataFrame:
    """Give what rows (columns id, source_key, residue) said in the columns that tell who they are about."""
    compiled = narrow(setting.compiled(ruleset.table), ruleset.key_reuse)
    parts = _read_parts(connection, setting, compiled, there["id"])
    lookups = Lookups(find_keys_by_id(setting, compiled, parts), looked_up=looked_up)
    return write_texts(compiled, parts, there, lookups)


def _read_parts(connection: Psycopg, setting: Setting, compiled: Compiled, ids: pl.Series) -> dict[str, pl.DataFrame]:
    """Read the records from which these columns are written.

    Of the main part these are the records of the rows. Which record is another part of which row, all parts tell
    together.
    """
    ruleset, code = compiled.ruleset, setting.department.code
    if len(compiled.parts) > 1:
        return ScopeFinder(connection, code, setting.book, setting.table_numbers).read_rows(ruleset, ids).parts
    records = read_records(connection, ruleset.main.table, code, ids, compiled.main.dtypes)
    return {ruleset.main.name: records.with_columns(pl.col("id").alias("main_id"))}


def _give_epochs(setting: Setting, ruleset: Ruleset, held: MapContext, owners: pl.DataFrame) -> Reused:
    """Give these keys their next epoch and its identifiers; what was adopted for them belongs to who had them."""
    table, again = ruleset.table, owners["source_key"]
    epochs = grow_epochs(ruleset, again, held.epochs)
    grown = owners.select(pl.col("source_key").alias("key")).join(
        epochs.filter(pl.col("table") == table).select("key", "epoch"), on="key", how="left", maintain_order="left"
    )
    ids = identify(grown, source=held.source, table=table, part=ruleset.main.name, adopted=None)
    now = grown.select(pl.col("key").alias("source_key"), ids.alias("id"), pl.col("epoch").alias("key_epoch"))
    adopted = held.adopted
    if adopted is not None:
        adopted = adopted.filter(~((pl.col("table") == table) & pl.col("key").is_in(again.implode())))
    return Reused(replace(held, adopted=adopted, epochs=epochs), owners, now)


def bury_owners(
    connection: Psycopg, setting: Setting, place: RowsPlace, ruleset: Ruleset, reused: Reused
) -> tuple[int, list[ChunkPlan]]:
    """Delete the records of whoever had the keys before and remember the new epochs, in the caller's transaction.

    Gives how many records were removed, and plans reading again the rows that refer to them.
    """
    if reused.now.is_empty():
        return 0, []
    plans = _plan_referring(connection, setting, ruleset, reused.before["id"])
    removed = delete_rows(connection, place, ruleset.main.table, reused.before["id"], reason=Departure.REUSED)
    adopt_keys(connection, place, reused.now)
    return sum(removed.values()), plans


def _plan_referring(connection: Psycopg, setting: Setting, ruleset: Ruleset, owners: pl.Series) -> list[ChunkPlan]:
    """Plan reading again the live rows whose records refer to any part of these."""
    code = setting.department.code
    links = find_links(connection, code, owners)
    plans = []
    for table, child in setting.book.rulesets.items():
        keys: set[str] = set()
        for part in setting.compiled(table).parts:
            for plan in part.fields:
                if not isinstance(plan, ReferencePlan) or plan.table != ruleset.table:
                    continue
                ids = owners if plan.is_main else links.filter(pl.col("part") == plan.part)["canonical_id"]
                held = find_attached(connection, part.rule.table, plan.output, code, ids)["id"].unique()
                mains = held if part.rule.main else find_owners(connection, code, held)["id"]
                rows = find_crosswalk(connection, code, mains.unique()).filter(
                    (pl.col("source_table_no") == setting.table_numbers[child.table]) & pl.col("deleted_at").is_null()
                )
                keys |= set(rows["source_key"].to_list())
        if keys:
            plans.append(ChunkPlan(table, tuple(sorted(keys))))
    return plans


def find_keys_by_id(
    setting: Setting,
    compiled: Compiled,
    parts: Mapping[str, pl.DataFrame],
    *,
    more: Mapping[str, pl.DataFrame] | None = None,
) -> dict[str, pl.DataFrame]:
    """Look up the legacy keys of the rows that records refer to; `more` names keys (id, source_key) just reserved."""
    wanted: dict[str, list[pl.Series]] = {}
    for part in compiled.parts:
        for plan in part.fields:
            if isinstance(plan, ReferencePlan):
                ids = parts[part.rule.name][plan.output]
                wanted.setdefault(plan.table, []).append(ids.drop_nulls().alias("id"))
    result = {}
    for table, columns in wanted.items():
        ids = pl.concat(columns).unique()
        with transaction(setting.engine) as connection:
            crosswalk = find_crosswalk(raw(connection), setting.department.code, ids)
            born = find_adopted_keys(raw(connection), setting.place(table, 0), ids)
        known = crosswalk.filter(pl.col("source_table_no") == setting.table_numbers[table])
        every = [known.select("id", "source_key"), born]
        if more is not None and table in more:
            every.append(more[table])
        both = pl.concat(every).unique("id", keep="first", maintain_order=True)
        result[table] = both.select("id", pl.col("source_key").alias("key"))
    return result
