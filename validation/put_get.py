"""PutGet: whether an edit made in the new system, written back and read again, is the edit; or is listed as degraded.

Each field is given the values that another row holds in the same columns, on all rows of a sample at once. Filters are
left aside: they say whether a row is loaded, not what it means; edits that would make a filter bite are counted.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import polars as pl

from mappings.engine import Compiled, Lookups, MapContext, WrittenBack, apply_forward, compile_ruleset, write_back
from mappings.fate_masks import filtered_by
from mappings.model import RuleBook
from mappings.outcomes import TERM_COLUMNS
from mappings.plans import FieldPlan, PartPlan
from validation.differences import field_groups
from validation.subject import any_of

_AFTER = " after"
_CELL = {"main_id": pl.Binary(), "canonical_table": pl.String(), "column": pl.String()}
RECORD = ""
"""Stands for the record itself where a column is named."""


@dataclass(frozen=True, slots=True)
class StoredRows:
    """Rows as the store holds them: records by part with main_id, crosswalk with residue, keys they refer to."""

    parts: Mapping[str, pl.DataFrame] = field(repr=False)
    crosswalk: pl.DataFrame = field(repr=False)
    keys_by_id: Mapping[str, pl.DataFrame] = field(repr=False)
    dangling: int = 0
    """References to rows that were never loaded: only the id computed from the raw key says which."""
    looked_up: Mapping[str, pl.DataFrame] = field(default_factory=dict, repr=False)
    """What the rows of other legacy tables say, where a rule looks them up."""


@dataclass(frozen=True, slots=True)
class FieldTrial:
    """What became of the edits of one field: came back whole, are listed as degraded, or neither."""

    legacy_table: str
    part: str
    canonical_table: str
    columns: tuple[str, ...]
    tried: int
    held: int
    listed: int
    leaving: int
    """Edits after which a filter of the rule would keep the legacy row out."""
    failed: tuple[str, ...] = field(repr=False)
    """Legacy keys whose edit neither came back nor is listed."""
    touched: dict[str, tuple[str, ...]] = field(repr=False)
    """Legacy columns that changed outside the field's sources and declared side effects, with the keys of the rows."""
    degraded: pl.DataFrame = field(repr=False)
    """What the write-back listed: canonical_table, column, kind, cause, edits."""

    @property
    def is_sound(self) -> bool:
        """Tell whether each edit came back or is listed."""
        return not self.failed and self.tried == self.held + self.listed


def try_fields(
    compiled: Compiled, book: RuleBook, stored: StoredRows, *, rows: pl.DataFrame, context: MapContext
) -> Iterator[FieldTrial]:
    """Try an edit of each field on the sampled rows; a field whose values are all the same gives no trial."""
    judged = tuple(one for one in compiled.ruleset.filters if one.judged)  # it also fills the columns of its terms
    unfiltered = compile_ruleset(replace(compiled.ruleset, filters=judged, deletes=None), book, context)
    if context.terms is not None:
        context = replace(context, terms=context.terms.with_columns(is_expired=pl.lit(value=False)))
    bench = _Bench(compiled, unfiltered, stored, rows, context)
    for part in compiled.parts:
        for plan in part.fields:
            given = _other_values(stored.parts[part.rule.name], plan.rule.to)
            if given is not None:
                yield bench.try_field(part, plan, given)


def _other_values(frame: pl.DataFrame, columns: tuple[str, ...]) -> pl.DataFrame | None:
    """Give each row the next of the distinct values found in the same columns; None when there is only one."""
    distinct = frame.select(columns).unique(maintain_order=True).with_row_index("place")
    if distinct.height < 2:
        return None
    own = frame.select(columns).join(distinct, on=list(columns), how="left", maintain_order="left", nulls_equal=True)
    following = ((own["place"].cast(pl.Int64) + 1) % distinct.height).cast(pl.UInt32)
    return distinct.select(columns)[following]


@dataclass(frozen=True, slots=True)
class _Bench:
    """Everything a trial needs besides the edit."""

    compiled: Compiled
    unfiltered: Compiled
    stored: StoredRows
    rows: pl.DataFrame = field(repr=False)
    context: MapContext = field(repr=False)

    def try_field(self, part: PartPlan, plan: FieldPlan, given: pl.DataFrame) -> FieldTrial:
        """Edit one field of every row that has its part, write all back, read them again."""
        name, rule = part.rule.name, plan.rule
        edited = dict(self.stored.parts)
        edited[name] = edited[name].with_columns(given.get_columns())
        lookups = Lookups(self.stored.keys_by_id, self.rows, self.context.looked_up)
        back = write_back(self.compiled, edited, self.stored.crosswalk, lookups)
        again = apply_forward(self.unfiltered, back.rows, self.context)
        touched = self._touched(back, (*rule.sources, *self.compiled.ruleset.side_effects))
        tried = edited[name].select("main_id")
        wrong = self._mismatches(edited, again.parts).join(tried, on="main_id", how="semi")
        unlisted = wrong.join(self._explained(back.degraded), on=list(_CELL), how="anti")
        failing, amiss = unlisted.select("main_id").unique(), wrong.select("main_id").unique()
        keys = self.stored.crosswalk.select(pl.col("id").alias("main_id"), "source_key")
        leaves = back.rows.select(filtered_by(self.compiled.ruleset, self.context).is_not_null().sum()).item()
        return FieldTrial(
            legacy_table=self.compiled.ruleset.table,
            part=name,
            canonical_table=part.rule.table,
            columns=rule.to,
            tried=tried.height,
            held=tried.join(amiss, on="main_id", how="anti").height,
            listed=amiss.join(failing, on="main_id", how="anti").height,
            leaving=int(leaves),
            failed=tuple(keys.join(failing, on="main_id", how="semi")["source_key"].to_list()),
            touched=touched,
            degraded=_grouped(back.degraded.join(amiss, on="main_id", how="semi")),
        )

    def _touched(self, back: WrittenBack, allowed: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
        """Name the legacy columns that the write-back changes and that the field does not declare."""
        columns = [column for column in back.rows.columns if column not in self.compiled.ruleset.key]
        before = self.rows.select("source_key", *(pl.col(column).alias(column + _AFTER) for column in columns))
        both = back.rows.with_columns(back.identities["source_key"]).join(before, on="source_key", how="inner")
        changed = {
            column: both.filter(pl.col(column).ne_missing(pl.col(column + _AFTER)))["source_key"]
            for column in columns
            if column not in allowed
        }
        return {column: tuple(keys.to_list()) for column, keys in changed.items() if keys.len()}

    def _mismatches(self, edited: Mapping[str, pl.DataFrame], again: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
        """List what reading the written rows again does not give: main_id, canonical_table, column."""
        lists = [pl.DataFrame(schema=_CELL)]
        mains = self.stored.crosswalk.select(pl.col("id").alias("main_id"), "source_key")
        for part in self.compiled.parts:
            columns = [column for column in part.dtypes if column not in self._judged_columns]
            read = again[part.rule.name].join(mains, on="source_key").select("main_id", *columns)
            stands = edited[part.rule.name].select("main_id", *columns)
            both = stands.join(read, on="main_id", how="full", suffix=_AFTER)
            alone = both.filter(pl.col("main_id").is_null() | pl.col("main_id" + _AFTER).is_null())
            lists.append(_cells(alone.select(pl.coalesce("main_id", "main_id" + _AFTER)), part, RECORD))
            for column in columns:
                differs = pl.col(column).ne_missing(pl.col(column + _AFTER))
                there = pl.col("main_id").is_not_null() & pl.col("main_id" + _AFTER).is_not_null()
                lists.append(_cells(both.filter(there & differs), part, column))
        return pl.concat(lists)

    @property
    def _judged_columns(self) -> frozenset[str]:
        """Name the columns that no legacy column feeds: the terms of retention are judged, never written back."""
        return frozenset(TERM_COLUMNS) if self.compiled.ruleset.is_judged else frozenset()

    def _explained(self, degraded: pl.DataFrame) -> pl.DataFrame:
        """Name every column of the fields that the write-back lists: an entry speaks for its whole field."""
        listed = degraded.select("main_id", "canonical_table", "column").unique()
        groups = field_groups(self.compiled.ruleset)
        members = listed.join(groups, on=["canonical_table", "column"]).select(
            "main_id", "canonical_table", pl.col("member").alias("column")
        )
        return pl.concat([listed, members]).unique()


def _cells(rows: pl.DataFrame, part: PartPlan, column: str) -> pl.DataFrame:
    return rows.select("main_id", pl.lit(part.rule.table).alias("canonical_table"), pl.lit(column).alias("column"))


def _grouped(degraded: pl.DataFrame) -> pl.DataFrame:
    return degraded.group_by("canonical_table", "column", "kind", "cause", maintain_order=True).agg(
        pl.len().cast(pl.Int64).alias("edits")
    )


def differing_rows(written: pl.DataFrame, raw: pl.DataFrame, columns: tuple[str, ...]) -> pl.DataFrame:
    """Put written rows beside raw ones by key and keep those that differ: source_key, and a mask for each column."""
    both = written.select("source_key", *columns).join(
        raw.select("source_key", *(pl.col(column).alias(column + _AFTER) for column in columns)), on="source_key"
    )
    masks = [pl.col(column).ne_missing(pl.col(column + _AFTER)).alias(column) for column in columns]
    return both.select("source_key", *masks).filter(any_of([pl.col(column) for column in columns]))
