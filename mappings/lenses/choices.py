"""Values that several columns, a guard, a pattern or the rule itself decide: coalesce, conditional, regex, constant."""

import re

import polars as pl

from mappings.lenses.lens import (
    Backward,
    Columns,
    Degradation,
    Forward,
    Lens,
    LensSetting,
    Objection,
    Refusal,
    Steps,
    null_if_empty,
    without_trailing_blanks,
)

NOT_OF_THE_PATTERN = "not of the form that the pattern asks for"
SEPARATOR_INSIDE = "a part holds the separator of the parts"
_HOLE = "{}"


def _first_forward(columns: Columns, setting: LensSetting) -> Forward:
    return Forward((pl.coalesce([without_trailing_blanks(column) for column in columns]),))


def _first_backward(values: Columns, setting: LensSetting) -> Backward:
    nothing = pl.lit(None, dtype=pl.String)
    return Backward((values[0], *(nothing for _ in range(setting.inputs - 1))))


def _when_forward(columns: Columns, setting: LensSetting) -> Forward:
    guard = columns[1].fill_null("").str.strip_chars_end(" ") == setting.text("equals").rstrip(" ")
    return Forward((pl.when(guard).then(columns[0]),))


def _when_backward(values: Columns, setting: LensSetting) -> Backward:
    guard = pl.when(values[0].is_not_null()).then(pl.lit(setting.text("equals")))
    return Backward((values[0], guard))


def _pattern_of(setting: LensSetting) -> tuple[str, str]:
    """Give the pattern, which must hold one group, and the form, which must hold one place for it."""
    pattern, form = setting.text("pattern"), setting.text("form")
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise ValueError(f"the pattern cannot be read: {error}") from error
    if groups != 1 or form.count(_HOLE) != 1:
        raise ValueError("the pattern holds one group in brackets, and the form one {} where it stands")
    return f"^(?:{pattern})$", form


def _regex_forward(columns: Columns, setting: LensSetting) -> Forward:
    pattern, _ = _pattern_of(setting)
    steps = Steps()
    text = steps.let("text", without_trailing_blanks(columns[0]))
    return Forward(
        (null_if_empty(text.str.extract(pattern)),),
        (Objection(~text.str.contains(pattern), NOT_OF_THE_PATTERN),),
        steps=steps.taken,
    )


def _regex_backward(values: Columns, setting: LensSetting) -> Backward:
    pattern, form = _pattern_of(setting)
    steps = Steps()
    before, after = form.split(_HOLE)
    written = steps.let("written", pl.concat_str([pl.lit(before), values[0], pl.lit(after)]))
    differs = written.str.extract(pattern).ne_missing(values[0]) & values[0].is_not_null()
    return Backward((written,), (Refusal(differs, Degradation.OUT_OF_ALPHABET, NOT_OF_THE_PATTERN),), steps.taken)


def _constant_forward(columns: Columns, setting: LensSetting) -> Forward:
    value = pl.lit(setting.text("value"))
    return Forward((pl.when(columns[0].is_not_null() | columns[0].is_null()).then(value),))


def _constant_backward(values: Columns, setting: LensSetting) -> Backward:
    return Backward((pl.lit(None, dtype=pl.String),))


def _split_forward(columns: Columns, setting: LensSetting) -> Forward:
    halves = columns[0].str.splitn(setting.text("sep"), 2)
    return Forward(tuple(without_trailing_blanks(halves.struct.field(f"field_{number}")) for number in range(2)))


def _split_backward(values: Columns, setting: LensSetting) -> Backward:
    separator, steps = setting.text("sep"), Steps()
    if len(values) == 1:
        return Backward((values[0],), (_holds(values[0], separator),))
    joined = pl.concat_str([values[0].fill_null(""), pl.lit(separator), values[1]])
    written = steps.let("written", pl.when(values[1].is_null()).then(values[0]).otherwise(joined))
    return Backward((written,), (_holds(values[0], separator),), steps.taken)


def _holds(value: pl.Expr, separator: str) -> Refusal:
    return Refusal(value.str.contains(separator, literal=True), Degradation.NO_PLACE, SEPARATOR_INSIDE)


FIRST = Lens(_first_forward, _first_backward)
WHEN = Lens(_when_forward, _when_backward)
REGEX = Lens(_regex_forward, _regex_backward)
CONSTANT = Lens(_constant_forward, _constant_backward)
SPLIT = Lens(_split_forward, _split_backward)
