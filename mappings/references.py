"""References to other legacy rows, from identifiers back to keys."""

import polars as pl

from mappings.identity import FIRST_EPOCH, identify
from mappings.plans import ReferencePlan


def find_keys(ids: pl.Series, keys_by_id: pl.DataFrame | None) -> pl.Series:
    """Give the legacy key of each identifier, null where none is known."""
    if keys_by_id is None or ids.null_count() == len(ids):
        return pl.repeat(None, len(ids), dtype=pl.String, eager=True)
    known = keys_by_id.select("id", pl.col("key").cast(pl.String)).unique("id")
    return pl.DataFrame({"id": ids}).join(known, on="id", how="left", maintain_order="left")["key"]


def refers_to(plan: ReferencePlan, source: str, raws: pl.DataFrame, ids: pl.Series) -> pl.Series:
    """Tell whether raw key columns compute to the identifiers that stand now; blanks refer to nothing."""
    keys = raws.select(plan.key().alias("key"), pl.lit(FIRST_EPOCH, dtype=pl.Int16).alias("epoch"))
    return identify(keys, source=source, table=plan.table, part=plan.part, adopted=None).eq_missing(ids)
