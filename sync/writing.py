"""One legacy table as the way back writes it, and what of its records the old system cannot hold as it was written."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import polars as pl

from banyan.canonical.model import TABLES
from mappings.emission import part_ids, with_epochs
from mappings.engine import Compiled, MapContext, Mapped, WrittenBack
from mappings.outcomes import TERM_COLUMNS
from store.records import LINK_KINDS
from sync.lasting import Found
from sync.scope import NO_PLACE, TableScope

REWRITTEN = "REWRITTEN"
KEPT_OUT = "KEPT_OUT"


@dataclass(frozen=True, slots=True)
class Writing:
    """One legacy table, ready to be written."""

    scope: TableScope = field(repr=False)
    compiled: Compiled = field(repr=False)
    written: WrittenBack = field(repr=False)
    keys: pl.DataFrame = field(repr=False)
    """Columns id, source_key of every row, born ones included."""
    previous: pl.DataFrame = field(repr=False)
    """The legacy rows as they stand before this writing."""
    conflicts: pl.DataFrame = field(repr=False)
    """What was changed behind the fence, overwritten or not; columns as of degraded write-backs."""
    lasting: Found | None = field(default=None, repr=False)
    """Of a table without transactions: its rows as they stood before any writing, those that go included."""

    @property
    def table(self) -> str:
        """Give the legacy table."""
        return self.scope.ruleset.table

    @property
    def before(self) -> pl.DataFrame:
        """Give the legacy rows to be kept as they stood."""
        return self.previous if self.lasting is None else self.lasting.rows

    @property
    def meant(self) -> pl.DataFrame:
        """Give the rows that are written or let go: columns id, source_key."""
        gone = self.scope.gone.select("id", "source_key")
        return pl.concat([self.keys.select("id", "source_key"), gone]).unique("source_key", maintain_order=True)


def list_rewritten(writing: Writing, now: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """List values that legacy triggers made different from what was written."""
    listed = writing.written.degraded.select("main_id", "canonical_table", "column")
    found = [writing.written.degraded.clear()]
    for part in writing.compiled.parts:
        current = writing.scope.parts[part.rule.name]
        after = now[part.rule.name]
        if current.is_empty() or after.is_empty():
            continue
        names = [name for name in part.dtypes if name != part.rule.attach]
        both = current.select("id", "main_id", *names).join(after.select("id", *names), on="id", suffix=" after")
        for name in names:
            no_place = "the old system holds no term of retention" if name in TERM_COLUMNS else ""
            differs = both.filter(pl.col(name).ne_missing(pl.col(f"{name} after")))
            found.append(
                differs.join(writing.keys.rename({"id": "main_id"}), on="main_id").select(
                    "source_key",
                    "main_id",
                    pl.lit(part.rule.table).alias("canonical_table"),
                    pl.lit(name).alias("column"),
                    pl.lit(NO_PLACE if no_place else REWRITTEN).alias("kind"),
                    pl.lit(no_place or "the old system rewrote the value").alias("cause"),
                    pl.lit(None, pl.String).alias("legacy_column"),
                )
            )
    return pl.concat(found).join(listed, on=["main_id", "canonical_table", "column"], how="anti", nulls_equal=True)


def list_without_rule(writing: Writing) -> pl.DataFrame:
    """List values in columns that no rule fills: the old system has no place for them."""
    found = [writing.written.degraded.clear()]
    for part in writing.compiled.parts:
        rows = writing.scope.parts[part.rule.name]
        for name in TABLES[part.rule.table].column_names:
            if name in part.dtypes:
                continue
            found.append(
                rows.filter(pl.col(name).is_not_null())
                .join(writing.keys.rename({"id": "main_id"}), on="main_id")
                .select(
                    "source_key",
                    "main_id",
                    pl.lit(part.rule.table).alias("canonical_table"),
                    pl.lit(name).alias("column"),
                    pl.lit(NO_PLACE).alias("kind"),
                    pl.lit("no rule fills this column from the old system").alias("cause"),
                    pl.lit(None, pl.String).alias("legacy_column"),
                )
            )
    return pl.concat(found)


def list_kept_out(writing: Writing, mapped: Mapped) -> pl.DataFrame:
    """List records whose legacy row, as now written, a named rule would keep out."""
    keys = writing.keys.select(pl.col("id").alias("main_id"), "source_key")
    kept_out = mapped.filtered.join(keys, on="source_key")
    frames = [writing.written.degraded.clear()]
    for part in writing.scope.ruleset.parts:
        present = writing.scope.parts[part.name].select("main_id")
        frames.append(
            kept_out.join(present, on="main_id", how="semi").select(
                "source_key",
                "main_id",
                pl.lit(part.table).alias("canonical_table"),
                pl.lit(None, pl.String).alias("column"),
                pl.lit(KEPT_OUT).alias("kind"),
                pl.format("the rule {} keeps such a row out", pl.col("rule")).alias("cause"),
                pl.lit(None, pl.String).alias("legacy_column"),
            )
        )
    return pl.concat(frames)


def links_of(scope: TableScope) -> pl.DataFrame:
    """Give the links of the parts that stand now: columns as in LINK_KINDS."""
    frames = [
        scope.parts[part.name].select(
            pl.col("main_id").alias("id"),
            pl.lit(part.name).alias("part"),
            pl.lit(part.table).alias("canonical_table"),
            pl.col("id").alias("canonical_id"),
        )
        for part in scope.ruleset.parts
        if not part.main
    ]
    schema = {"id": pl.Binary, "part": pl.String, "canonical_table": pl.String, "canonical_id": pl.Binary}
    return pl.concat([pl.DataFrame(schema=schema), *frames]).select(list(LINK_KINDS))


def adopted_links(writing: Writing, links: pl.DataFrame, context: MapContext) -> pl.DataFrame:
    """Give the links whose identifier does not follow from the legacy key of their row: id, part, canonical_id.

    A shared part takes its identifier from what it is shared by, never from its row.
    """
    computed, frames = replace(context, adopted=None), [links.select("id", "part", "canonical_id").clear()]
    for part in writing.scope.ruleset.parts:
        if part.main or part.share:
            continue
        linked = links.filter(pl.col("part") == part.name).join(writing.keys.select("id", "source_key"), on="id")
        keys = with_epochs(linked["source_key"], writing.table, computed)
        ids = part_ids(part, linked, keys, table=writing.table, context=computed)
        frames.append(linked.filter(ids != linked["canonical_id"]).select("id", "part", "canonical_id"))
    return pl.concat(frames)
