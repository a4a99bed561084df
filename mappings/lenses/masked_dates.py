"""Whole days under masks: one mask, several, a year of two digits; what is not known is null, never a guess."""

import re
from itertools import combinations

import polars as pl

from mappings.lenses.dates import (
    IMPOSSIBLE,
    ISO,
    MALFORMED,
    Mask,
    is_unknown,
    out_of_years,
    real_day,
    whole_day,
)
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
    without_blanks,
)

MASKS = ("first", "second", "third", "fourth")
_SHORT_YEAR = re.compile("(?<!Y)YY(?!Y)")


def _iso_forward(columns: Columns, setting: LensSetting) -> Forward:
    return whole_day(without_blanks(columns[0]), ISO)


def _iso_backward(values: Columns, setting: LensSetting) -> Backward:
    return Backward((ISO.written(values[0]),), (out_of_years(values[0]),))


def _mask_forward(columns: Columns, setting: LensSetting) -> Forward:
    return whole_day(without_blanks(columns[0]), Mask(setting.text("mask")))


def _mask_backward(values: Columns, setting: LensSetting) -> Backward:
    return Backward((Mask(setting.text("mask")).written(values[0]),), (out_of_years(values[0]),))


def _masks_of(setting: LensSetting) -> list[Mask]:
    masks = [Mask(setting.text(name)) for name in MASKS if name in setting.parameters]
    for one, other in combinations(masks, 2):
        if one.pattern == other.pattern:
            raise ValueError(f"the masks {one.text} and {other.text} have the same form: which day is meant is a guess")
    return masks


def _masks_forward(columns: Columns, setting: LensSetting) -> Forward:
    steps, masks = Steps(), _masks_of(setting)
    text = steps.let("text", without_blanks(columns[0]))
    fits = [steps.let(f"fits {mask.text}", text.str.contains(mask.pattern)) for mask in masks]
    read = [
        pl.when(fit).then(real_day(*(mask.part(text, part) for part in ("YYYY", "MM", "DD"))))
        for fit, mask in zip(fits, masks, strict=True)
    ]
    value = steps.let("day", pl.coalesce(read))
    unknown = pl.any_horizontal(is_unknown(text, mask) for mask in masks)
    absent = steps.let("absent", value.is_null() & ~unknown)
    well_formed = pl.any_horizontal(fits)
    return Forward(
        (value,), (Objection(absent & ~well_formed, MALFORMED), Objection(absent, IMPOSSIBLE)), steps=steps.taken
    )


def _masks_backward(values: Columns, setting: LensSetting) -> Backward:
    return Backward((_masks_of(setting)[0].written(values[0]),), (out_of_years(values[0]),))


def _pivot_mask(setting: LensSetting) -> tuple[str, int]:
    """Give the mask with its year of two digits, and the pivot."""
    mask, pivot = setting.text("mask"), setting.number("pivot")
    if len(_SHORT_YEAR.findall(mask)) != 1:
        raise ValueError(f"the mask {mask!r} must hold YY once")
    if not 0 <= pivot <= 99:
        raise ValueError("the pivot must be a year of two digits")
    return mask, pivot


def _pivot_forward(columns: Columns, setting: LensSetting) -> Forward:
    short, pivot = _pivot_mask(setting)
    steps, whole = Steps(), Mask(_SHORT_YEAR.sub("YYYY", short))
    raw = steps.let("raw", without_blanks(columns[0]))
    place = short.index("YY")
    year = raw.str.slice(place, 2)
    century = pl.when(year < f"{pivot:02}").then(pl.lit("20")).otherwise(pl.lit("19"))
    filled = pl.concat_str([raw.str.slice(0, place), century, raw.str.slice(place)])
    form = whole.pattern.replace("[0-9]{4}", "[0-9]{2}")
    unknown = raw.is_in(["0", *(re.sub("[YMD]", digit, short) for digit in ("0", "9", "\x00"))])
    text = steps.let("spelled", pl.when(raw.str.contains(form)).then(filled).otherwise(pl.lit("?")))
    told = steps.let("told", pl.when(raw.is_not_null() & ~unknown).then(text))
    read = whole_day(told, whole)
    return Forward(read.values, read.rejections, read.events, (*steps.taken, *read.steps))


def _pivot_backward(values: Columns, setting: LensSetting) -> Backward:
    short, pivot = _pivot_mask(setting)
    written = values[0].dt.strftime(
        short.replace("%", "%%").replace("YY", "%y").replace("MM", "%m").replace("DD", "%d")
    )
    outside = Refusal(
        ~values[0].dt.year().is_between(1900 + pivot, 1999 + pivot),
        Degradation.NO_PLACE,
        f"two digits of a year stand for {1900 + pivot} to {1999 + pivot}",
    )
    return Backward((written,), (outside,))


ISO_DAY = Lens(_iso_forward, _iso_backward, reads_nul=True)
ONE_MASK = Lens(_mask_forward, _mask_backward, reads_nul=True)
SEVERAL_MASKS = Lens(_masks_forward, _masks_backward, reads_nul=True)
PIVOT = Lens(_pivot_forward, _pivot_backward, reads_nul=True)
