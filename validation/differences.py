"""Differences between what legacy rows mean and what the store holds: found column by column, told without a value.

Missing equals missing and nothing else. The cause is computed from the two values and never repeats them.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import assert_never

import polars as pl

from banyan.findings import FindingKind
from mappings.model import Ruleset, Tolerance, ToleranceKind
from validation.subject import any_of

DIFFERENCES = {
    "source_key": pl.String(),
    "main_id": pl.Binary(),
    "canonical_table": pl.String(),
    "id": pl.Binary(),
    "column": pl.String(),
    "kind": pl.String(),
    "cause": pl.String(),
}
"""Columns of a list of differences; `column` is null when the whole record is meant."""

NULL_FOUND = "null in canonical"
REJECTED_HAS_VALUE = "a rejected field has a value"
UNEXPECTED_VALUE = "value where none is expected"
UNRULED_VALUE = "value where no rule writes"
NO_RECORD = "no record in canonical"
OTHER_VALUE = "other value"
_FOUND = " found"
_IS_FOUND = "is found"
_BY_TYPE = {pl.Date: "date differs", pl.Datetime: "instant differs", pl.Binary: "reference differs"}


@dataclass(frozen=True, slots=True)
class ComparedPart:
    """One part of a batch compared: its differences, and how many records each column was compared on.

    `tolerated` counts the values that are the same only because the rule declares a tolerance.
    """

    compared: dict[str, int]
    tolerated: dict[str, int]
    differences: pl.DataFrame = field(repr=False)


def no_differences() -> pl.DataFrame:
    """Give an empty list of differences."""
    return pl.DataFrame(schema=DIFFERENCES)


def compare_part(
    table: str,
    expected: pl.DataFrame,
    found: pl.DataFrame,
    *,
    ruled: Collection[str],
    rejected: pl.DataFrame,
    tolerances: Mapping[str, Tolerance] | None = None,
) -> ComparedPart:
    """Compare the records that a part of legacy rows means with those found under the same ids.

    `expected` has id, main_id, source_key and the columns that rules fill (`ruled`); the others of the table must be
    empty. `rejected` lists fields that were refused: source_key, column (canonical).
    """
    declared = tolerances or {}
    unruled = [name for name in found.columns if name not in (*ruled, "id")]
    both = expected.select("source_key", "main_id", "id", *ruled).join(
        found.select("id", *(pl.col(name).alias(name + _FOUND) for name in (*ruled, *unruled))).with_columns(
            pl.lit(value=True).alias(_IS_FOUND)
        ),
        on="id",
        how="left",
        maintain_order="left",
    )
    missing = both.filter(pl.col(_IS_FOUND).is_null())
    both = both.filter(pl.col(_IS_FOUND).is_not_null())
    differing = {name: pl.col(name).ne_missing(pl.col(name + _FOUND)) for name in ruled}
    differing |= {name: pl.col(name + _FOUND).is_not_null() for name in unruled}
    suspects = both.filter(any_of(list(differing.values())))
    lists = [_whole(missing, table)]
    tolerated: dict[str, int] = {}
    for name, differs in differing.items():
        cells = suspects.filter(differs)
        if name in declared and cells.height:
            told = cells.filter(~_within(declared[name], pl.col(name), pl.col(name + _FOUND)).fill_null(value=False))
            tolerated[name], cells = cells.height - told.height, told
        if cells.height:
            cause = _unruled() if name in unruled else _cause(name, expected.schema[name], cells, rejected)
            lists.append(_cells(cells, table, name, cause))
    return ComparedPart(dict.fromkeys((*ruled, *unruled), both.height), tolerated, pl.concat(lists))


def _within(tolerance: Tolerance, expected: pl.Expr, found: pl.Expr) -> pl.Expr:
    """Tell which two values say the same under a tolerance; missing equals missing alone, whatever is declared."""
    match tolerance.kind:
        case ToleranceKind.SECOND:
            return (expected - found).abs() < pl.lit(timedelta(seconds=1))
        case ToleranceKind.MINUTE:
            return (expected - found).abs() < pl.lit(timedelta(minutes=1))
        case ToleranceKind.DECIMALS:
            return (expected - found).abs() < pl.lit(Decimal(1).scaleb(-tolerance.decimals))
        case ToleranceKind.TRAILING_BLANKS:
            return expected.str.strip_chars_end(" ") == found.str.strip_chars_end(" ")
        case _:
            assert_never(tolerance.kind)


def _whole(missing: pl.DataFrame, table: str) -> pl.DataFrame:
    return missing.select(
        "source_key",
        "main_id",
        pl.lit(table).alias("canonical_table"),
        "id",
        pl.lit(None, pl.String).alias("column"),
        pl.lit(FindingKind.MISSING_IN_CANONICAL.value).alias("kind"),
        pl.lit(NO_RECORD).alias("cause"),
    )


def _cells(cells: pl.DataFrame, table: str, column: str, cause: pl.Expr) -> pl.DataFrame:
    return cells.select(
        "source_key",
        "main_id",
        pl.lit(table).alias("canonical_table"),
        "id",
        pl.lit(column).alias("column"),
        pl.lit(FindingKind.DIFFERS.value).alias("kind"),
        cause.alias("cause"),
    )


def _unruled() -> pl.Expr:
    return pl.lit(UNRULED_VALUE)


def _cause(name: str, dtype: pl.DataType, cells: pl.DataFrame, rejected: pl.DataFrame) -> pl.Expr:
    """Say by which pattern a value differs; the first pattern that fits."""
    expected, found = pl.col(name), pl.col(name + _FOUND)
    refused = rejected.filter(pl.col("column") == name)["source_key"].implode()
    other = pl.lit(next((words for kind, words in _BY_TYPE.items() if isinstance(dtype, kind)), OTHER_VALUE))
    if isinstance(dtype, pl.String):
        other = _text_cause(expected, found)
    return (
        pl.when(found.is_null())
        .then(pl.lit(NULL_FOUND))
        .when(expected.is_null() & pl.col("source_key").is_in(refused))
        .then(pl.lit(REJECTED_HAS_VALUE))
        .when(expected.is_null())
        .then(pl.lit(UNEXPECTED_VALUE))
        .otherwise(other)
    )


def _text_cause(expected: pl.Expr, found: pl.Expr) -> pl.Expr:
    bare, bare_found = _without_accents(expected), _without_accents(found)
    return (
        pl.when(expected.str.to_lowercase() == found.str.to_lowercase())
        .then(pl.lit("case differs"))
        .when(_without_blanks(expected) == _without_blanks(found))
        .then(pl.lit("blank differs"))
        .when((bare == bare_found) & (found == bare_found))
        .then(pl.lit("accents lost"))
        .when(bare == bare_found)
        .then(pl.lit("accents differ"))
        .when(expected.str.starts_with(found))
        .then(pl.lit("cut"))
        .otherwise(pl.lit(OTHER_VALUE))
    )


def _without_accents(text: pl.Expr) -> pl.Expr:
    return text.str.normalize("NFD").str.replace_all(r"\p{M}", "")


def _without_blanks(text: pl.Expr) -> pl.Expr:
    return text.str.replace_all(r"\s", "")


def canonical_columns(ruleset: Ruleset, rejected: pl.DataFrame) -> pl.DataFrame:
    """Name refused fields by the canonical columns they leave empty: columns source_key, column."""
    if rejected.is_empty():
        return rejected.select("source_key", "column")
    names = {
        (source, column)
        for part in ruleset.parts
        for rule in part.fields
        for source in rule.sources
        for column in rule.to
    }
    known = pl.DataFrame(sorted(names), schema={"raw": pl.String(), "to": pl.String()}, orient="row")
    return rejected.join(known, left_on="column", right_on="raw").select("source_key", pl.col("to").alias("column"))


def field_groups(ruleset: Ruleset) -> pl.DataFrame:
    """List which canonical columns one field fills together: canonical_table, column, member."""
    rows = [
        (part.table, column, member)
        for part in ruleset.parts
        for rule in part.fields
        for column in rule.to
        for member in rule.to
    ]
    rows += [(part.table, part.attach, part.attach) for part in ruleset.parts if part.attach]
    rows += [(part.table, column, column) for part in ruleset.parts for column in part.constants]
    schema = {"canonical_table": pl.String(), "column": pl.String(), "member": pl.String()}
    return pl.DataFrame(rows, schema=schema, orient="row").unique(maintain_order=True)
