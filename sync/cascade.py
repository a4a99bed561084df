"""Children of rows whose filter changed: a parent that a named rule begins, or ceases, to keep out takes them along."""

import polars as pl

from mappings.closure import following_fields
from mappings.engine import Mapped
from mappings.model import FilterRule, Ruleset
from store.outcomes import find_attached, find_filtered_by
from store.records import find_crosswalk, find_owners
from store.runs import ChunkPlan
from sync.setting import Psycopg, Setting, key_column


def plan_children(
    connection: Psycopg, setting: Setting, table: str, parents: pl.DataFrame, *, readmitted: bool
) -> list[ChunkPlan]:
    """Plan reading again the children of filtered parents (columns key, id); of readmitted ones, those kept out so far.

    The chunks belong to the run that found the change, so that its watermark waits for them.
    """
    plans = []
    for child in setting.book.rulesets.values():
        keys: set[str] = set()
        for rule in child.filters:
            if rule.parent is not None and rule.parent.table == table:
                keys |= _loaded_children(connection, setting, child, rule, parents["id"])
                if readmitted:
                    place = setting.place(child.table, 0)
                    keys |= set(find_filtered_by(connection, place, rule.name, parents=parents["key"]))
        if keys:
            plans.append(ChunkPlan(child.table, tuple(sorted(keys))))
    return plans


def with_parents(ruleset: Ruleset, rows: pl.DataFrame, mapped: Mapped) -> pl.DataFrame:
    """Give the filtered rows (source_key, rule) with the key of the parent that each follows, where it follows one."""
    columns = {one.name: one.parent.column for one in ruleset.filters if one.parent is not None}
    followed = pl.lit(None, dtype=pl.String)
    for rule, column in columns.items():
        followed = pl.when(pl.col("rule") == rule).then(pl.col(column)).otherwise(followed)
    keyed = rows.select(key_column(ruleset), *sorted(set(columns.values())))
    joined = mapped.filtered.join(keyed, on="source_key", how="left", maintain_order="left")
    return joined.select("source_key", "rule", followed.alias("parent_key"))


def _loaded_children(
    connection: Psycopg, setting: Setting, child: Ruleset, rule: FilterRule, parents: pl.Series
) -> set[str]:
    """Find the legacy keys of loaded rows of which a record refers to these parents, by the column that is followed."""
    code, mains = setting.department.code, [pl.Series("id", [], dtype=pl.Binary)]
    for part, field in following_fields(child, rule):
        records = find_attached(connection, part.table, field.to[0], code, parents)["id"]
        if part.main:
            mains.append(records)
        elif not records.is_empty():
            owners = find_owners(connection, code, records)
            mains.append(owners.filter(canonical_table=part.table)["id"])
    rows = find_crosswalk(connection, code, pl.concat(mains).unique())
    number = setting.table_numbers[child.table]
    return set(rows.filter(pl.col("source_table_no") == number, pl.col("deleted_at").is_null())["source_key"].to_list())
