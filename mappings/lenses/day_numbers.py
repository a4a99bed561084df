"""Days told as numbers: since 1899-12-30, as OLE tells them, and the day of a year, as mainframes tell it."""

import datetime

import polars as pl

from mappings.lenses.dates import IMPOSSIBLE, MALFORMED, NUL
from mappings.lenses.instants import in_zone, zone_events
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

NOT_A_DAY_NUMBER = "not a number of days"
PART_OF_A_DAY = "a number of days with a part of a day"
OUT_OF_DAYS = "the day is not between the years 1000 and 9999"
OUT_OF_CLOCKS = "the day is not between the years 1000 and 2099, of which the changes of clock are known"
EPOCH = datetime.date(1899, 12, 30)
FIRST = (datetime.date(1000, 1, 1) - EPOCH).days
LAST = (datetime.date(9999, 12, 31) - EPOCH).days
LAST_OF_CLOCKS = (datetime.date(2099, 12, 31) - EPOCH).days
DAY_SECONDS = 86_400
DIGITS = 10
"""Decimals that are read and written: a hundred-thousandth of a second."""
SIGNIFICANT = 15
"""Digits that a program writes of a floating number of days."""


def _whole_days(text: pl.Expr, last: int) -> pl.Expr:
    number = text.str.extract(r"^(-?[0-9]{1,7})(?:\.|$)").cast(pl.Int32, strict=False)
    return pl.when(number.is_between(FIRST, last)).then(number)


def _ole_day_forward(columns: Columns, setting: LensSetting) -> Forward:
    steps = Steps()
    text = steps.let("text", without_blanks(columns[0]))
    well_formed = steps.let("well formed", text.str.contains(r"^-?[0-9]+(\.[0-9]+)?$"))
    is_whole = text.str.contains(r"^-?[0-9]+(\.0+)?$")
    days = steps.let("days", pl.when(is_whole).then(_whole_days(text, LAST)))
    value = pl.lit(EPOCH) + pl.duration(days=days)
    return Forward(
        (pl.when(days.is_not_null()).then(value), pl.when(days.is_not_null()).then(pl.lit("DAY"))),
        (
            Objection(~well_formed, NOT_A_DAY_NUMBER),
            Objection(~is_whole, PART_OF_A_DAY),
            Objection(text.is_not_null() & days.is_null(), OUT_OF_DAYS),
        ),
        steps=steps.taken,
    )


def _days_since(day: pl.Expr) -> pl.Expr:
    return (day.cast(pl.Date) - pl.lit(EPOCH)).dt.total_days()


def _outside(days: pl.Expr, last: int, cause: str) -> Refusal:
    return Refusal(~days.is_between(FIRST, last), Degradation.NO_PLACE, cause)


def _ole_day_backward(values: Columns, setting: LensSetting) -> Backward:
    steps = Steps()
    days = steps.let("days", _days_since(values[0]))
    return Backward((days.cast(pl.String),), (_outside(days, LAST, OUT_OF_DAYS),), steps.taken)


def _ole_instant_forward(columns: Columns, setting: LensSetting) -> Forward:
    steps = Steps()
    text = steps.let("text", without_blanks(columns[0]))
    well_formed = steps.let("well formed", text.str.contains(r"^-?[0-9]+(\.[0-9]+)?$"))
    days = steps.let("days", pl.when(well_formed).then(_whole_days(text, LAST_OF_CLOCKS)))
    decimals = text.str.extract(r"\.([0-9]+)$").fill_null("0").str.slice(0, DIGITS).str.pad_end(DIGITS, "0")
    part = decimals.cast(pl.Int64, strict=False)
    seconds = steps.let("seconds", (part * DAY_SECONDS + 10**DIGITS // 2) // 10**DIGITS)
    midnight = pl.lit(datetime.datetime.combine(EPOCH, datetime.time()), pl.Datetime("us"))
    moment = midnight + pl.duration(days=days, seconds=seconds)
    local = steps.let("local", pl.when(days.is_not_null()).then(moment))
    zoned = steps.let("zoned", in_zone(local, setting))
    precision = pl.when(zoned.is_not_null()).then(pl.when(seconds == 0).then(pl.lit("DAY")).otherwise(pl.lit("MINUTE")))
    return Forward(
        (zoned.dt.convert_time_zone("UTC"), precision),
        (
            Objection(~well_formed, NOT_A_DAY_NUMBER),
            Objection(text.is_not_null() & days.is_null(), OUT_OF_CLOCKS),
        ),
        zone_events(local, zoned, setting),
        steps.taken,
    )


def _ole_instant_backward(values: Columns, setting: LensSetting) -> Backward:
    steps = Steps()
    zoned = values[0].dt.convert_time_zone(setting.time_zone)
    local = steps.let("local", zoned.dt.replace_time_zone(None))
    days = steps.let("days", _days_since(local))
    seconds = local.dt.hour().cast(pl.Int64) * 3600 + local.dt.minute().cast(pl.Int64) * 60 + local.dt.second()
    size = (SIGNIFICANT - days.abs().cast(pl.String).str.len_bytes()).clip(0, DIGITS)
    unit = pl.lit(10, pl.Int64) ** (DIGITS - size).cast(pl.Int64)
    exact = (seconds * 10**DIGITS * 2 + DAY_SECONDS) // (2 * DAY_SECONDS)
    rounded = steps.let("rounded", ((exact + unit // 2) // unit * unit).cast(pl.Int64))
    decimals = rounded.cast(pl.String).str.pad_start(DIGITS, "0").str.strip_chars_end("0")
    shown = pl.when(decimals == "").then(pl.lit("0")).otherwise(decimals)
    written = pl.concat_str([days.cast(pl.String), pl.lit("."), shown])
    return Backward((written,), (_outside(days, LAST_OF_CLOCKS, OUT_OF_CLOCKS),), steps.taken)


def _julian_forward(columns: Columns, setting: LensSetting) -> Forward:
    steps = Steps()
    text = steps.let("text", without_blanks(columns[0]))
    unknown = text.is_in(["0", "000000", "999999", NUL * 6])
    well_formed = steps.let("well formed", text.str.contains("^[0-9]{6}$"))
    year = pl.lit(1900, pl.Int32) + text.str.slice(0, 1).cast(pl.Int32, strict=False) * 100
    year = steps.let("year", year + text.str.slice(1, 2).cast(pl.Int32, strict=False))
    number = steps.let("number", text.str.slice(3, 3).cast(pl.Int32, strict=False))
    day = pl.date(year, 1, 1) + pl.duration(days=number - 1)
    value = steps.let("day", pl.when(well_formed & (number >= 1)).then(day))
    inside = steps.let("inside", pl.when(value.dt.year() == year).then(value))
    absent = steps.let("absent", inside.is_null() & ~unknown)
    return Forward(
        (inside,), (Objection(absent & ~well_formed, MALFORMED), Objection(absent, IMPOSSIBLE)), steps=steps.taken
    )


def _julian_backward(values: Columns, setting: LensSetting) -> Backward:
    year = values[0].dt.year() - 1900
    written = pl.concat_str(
        [
            year.cast(pl.String).str.pad_start(3, "0"),
            values[0].dt.ordinal_day().cast(pl.String).str.pad_start(3, "0"),
        ]
    )
    outside = Refusal(~year.is_between(0, 999), Degradation.NO_PLACE, "one digit tells centuries from 1900 to 2899")
    return Backward((written,), (outside,))


OLE_DAY = Lens(_ole_day_forward, _ole_day_backward)
OLE_INSTANT = Lens(_ole_instant_forward, _ole_instant_backward)
JULIAN = Lens(_julian_forward, _julian_backward, reads_nul=True)
