"""Texts of one case, and names that a narrow field has cut."""

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
    longer_than,
    without_trailing_blanks,
)

MAY_BE_CUT = "a name as long as its field: the field may have cut it"


def _upper_forward(columns: Columns, setting: LensSetting) -> Forward:
    return Forward((columns[0].str.to_uppercase(),))


def _upper_backward(values: Columns, setting: LensSetting) -> Backward:
    return _one_case(values[0], values[0].str.to_uppercase(), "lower-case")


def _lower_forward(columns: Columns, setting: LensSetting) -> Forward:
    return Forward((columns[0].str.to_lowercase(),))


def _lower_backward(values: Columns, setting: LensSetting) -> Backward:
    return _one_case(values[0], values[0].str.to_lowercase(), "upper-case")


def _one_case(value: pl.Expr, folded: pl.Expr, other: str) -> Backward:
    cause = f"the old system's field holds no {other} letter"
    return Backward((value,), (Refusal(value != folded, Degradation.OUT_OF_ALPHABET, cause),))


def _cut_forward(columns: Columns, setting: LensSetting) -> Forward:
    full = columns[0].str.strip_chars_end(" ").str.len_chars() >= setting.number("n")
    return Forward((without_trailing_blanks(columns[0]),), (), (Objection(full, MAY_BE_CUT),))


def _cut_backward(values: Columns, setting: LensSetting) -> Backward:
    return Backward((values[0],), (longer_than(values[0], setting.number("n")),))


UPPER = Lens(_upper_forward, _upper_backward)
LOWER = Lens(_lower_forward, _lower_backward)
CUT = Lens(_cut_forward, _cut_backward)
