"""Which rows are deleted, filtered or without a usable key, as expressions over raw columns."""

import polars as pl

from banyan.records import KEY_SEPARATOR
from banyan.undecoded import KEY_NOT_DECODED, MARK
from mappings.model import Condition, FilterRule, Parent, Retention, Ruleset
from mappings.outcomes import MapContext

READABLE_DATE = "^(19|20)[0-9]{6}$"
KEY_MISSING = "the key is missing"
KEY_UNREADABLE = "the key holds the character NUL"
KEY_AMBIGUOUS = "a column of the key holds the character U+001F, which parts the columns of keys"
KEY_REPEATED = "the key stands twice in the batch"


def key_of_row(ruleset: Ruleset) -> pl.Expr:
    """Give the text of the key: its columns joined by the unit separator; null when one is null."""
    return pl.concat_str([pl.col(column) for column in ruleset.key], separator=KEY_SEPARATOR)


def holds(condition: Condition) -> pl.Expr:
    """Tell whether a condition holds; null reads as the empty text, trailing blanks do not count."""
    text = pl.col(condition.column).fill_null("").str.strip_chars_end(" ")
    value = condition.value.rstrip(" ")
    match condition.op:
        case "=":
            return text == value
        case "!=":
            return text != value
        case "starts":
            return text.str.starts_with(value)


def filters_row(rule: FilterRule, context: MapContext, *, key: pl.Expr) -> pl.Expr:
    """Tell whether a filter rule keeps a row out; `key` is the text of the key of the row."""
    if rule.condition is not None:
        return holds(rule.condition)
    if rule.retention is not None:
        return _out_of_time(rule.retention)
    if rule.parent is not None:
        return _follows(rule.parent, context)
    if rule.judged:
        return _past_its_term(context, key)
    raise ValueError(f"the filter rule {rule.name} has no condition, retention, parent or judgement")


def _past_its_term(context: MapContext, key: pl.Expr) -> pl.Expr:
    """Tell whether the row of a key was judged to be past its term."""
    if context.terms is None:
        return pl.lit(value=False)
    past = context.terms.filter("is_expired")["key"]
    return key.is_in(past.implode()).fill_null(value=False)


def _out_of_time(retention: Retention) -> pl.Expr:
    readable = [
        pl.when(pl.col(column).str.contains(READABLE_DATE)).then(pl.col(column)) for column in retention.columns
    ]
    return (pl.max_horizontal(readable) < retention.before).fill_null(value=False)


def _follows(parent: Parent, context: MapContext) -> pl.Expr:
    keys = context.filtered.get(parent.table)
    if keys is None or keys.is_empty():
        return pl.lit(value=False)
    return pl.col(parent.column).is_in(keys.drop_nulls().implode()).fill_null(value=False)


def filtered_by(ruleset: Ruleset, context: MapContext) -> pl.Expr:
    """Give the name of the first filter rule that keeps a row out, or null."""
    name = pl.lit(None, dtype=pl.String)
    for rule in reversed(ruleset.filters):
        name = pl.when(filters_row(rule, context, key=key_of_row(ruleset))).then(pl.lit(rule.name)).otherwise(name)
    return name


def key_fault(key: pl.Expr, *, columns: int) -> pl.Expr:
    """Say what is wrong with the text of a key of so many columns, or null; repetition is judged among live rows."""
    is_ambiguous = key.str.count_matches(KEY_SEPARATOR, literal=True) >= columns if columns > 1 else pl.lit(value=False)
    return (
        pl.when(key.is_null())
        .then(pl.lit(KEY_MISSING))
        .when(key.str.contains(rf"(?:^|{KEY_SEPARATOR}){MARK}"))
        .then(pl.lit(KEY_NOT_DECODED))
        .when(key.str.contains("\x00", literal=True))
        .then(pl.lit(KEY_UNREADABLE))
        .when(is_ambiguous)
        .then(pl.lit(KEY_AMBIGUOUS))
        .when(~key.is_first_distinct())
        .then(pl.lit(KEY_REPEATED))
    )
