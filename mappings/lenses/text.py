"""Texts: verbatim, blank padded, trimmed, bounded."""

from mappings.lenses.lens import (
    Backward,
    Columns,
    Forward,
    Lens,
    LensSetting,
    longer_than,
    without_blanks,
    without_trailing_blanks,
)


def _same_forward(columns: Columns, setting: LensSetting) -> Forward:
    return Forward((columns[0],))


def _same_backward(values: Columns, setting: LensSetting) -> Backward:
    return Backward((values[0],))


def _padded_forward(columns: Columns, setting: LensSetting) -> Forward:
    return Forward((without_trailing_blanks(columns[0]),))


def _padded_backward(values: Columns, setting: LensSetting) -> Backward:
    size = setting.number("n")
    return Backward((values[0].str.pad_end(size, " "),), (longer_than(values[0], size),))


def _trimmed_forward(columns: Columns, setting: LensSetting) -> Forward:
    return Forward((without_blanks(columns[0]),))


def _bounded_backward(values: Columns, setting: LensSetting) -> Backward:
    return Backward((values[0],), (longer_than(values[0], setting.number("n")),))


VERBATIM = Lens(_same_forward, _same_backward)
PADDED = Lens(_padded_forward, _padded_backward)
TRIMMED = Lens(_trimmed_forward, _same_backward)
BOUNDED = Lens(_same_forward, _bounded_backward)
