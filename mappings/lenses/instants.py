"""Instants written as a local day and hour, read in the zone of the department.

An hour told twice by a change of clock is read as the earlier one; an hour that was skipped has no instant. Both are
counted and their raw text is kept.
"""

import polars as pl

from mappings.lenses.dates import COMPACT, IMPOSSIBLE, MALFORMED, PARTIAL, is_unknown, out_of_years, real_day
from mappings.lenses.lens import Backward, Columns, Forward, Lens, LensSetting, Objection, Steps, without_blanks

NOT_AN_HOUR = "not an hour of the day"
HOUR_ALONE = "an hour without its day"
SKIPPED = "an hour that the change of clock skipped"
TOLD_TWICE = "an hour that the change of clock told twice; the earlier instant was taken"
BLANK_HOUR = "    "

_HOUR = "^([01][0-9]|2[0-3])[0-5][0-9]$"


def _forward(columns: Columns, setting: LensSetting) -> Forward:
    steps = Steps()
    text = steps.let("text", without_blanks(columns[0]))
    no_hour = pl.lit(None, dtype=pl.String)
    hour = steps.let("hour", without_blanks(columns[1]) if setting.inputs > 1 else no_hour)
    well_formed = steps.let("well formed", text.str.contains(COMPACT.pattern))
    unknown = steps.let("unknown", is_unknown(text, COMPACT))
    year, month, day_of_month = (COMPACT.part(text, part) for part in ("YYYY", "MM", "DD"))
    day = steps.let("day", pl.when(well_formed).then(real_day(year, month, day_of_month)))
    has_hour = steps.let("has hour", hour.str.contains(_HOUR).fill_null(value=False))
    clock = pl.when(has_hour).then(hour).otherwise(pl.lit("0000"))
    written = pl.when(day.is_not_null()).then(pl.concat_str([text, clock]))
    local = steps.let("local", written.str.to_datetime("%Y%m%d%H%M", strict=False, time_unit="us"))
    zoned = steps.let("zoned", local.dt.replace_time_zone(setting.time_zone, ambiguous="earliest", non_existent="null"))
    only_once = local.dt.replace_time_zone(setting.time_zone, ambiguous="null", non_existent="null")
    precision = (
        pl.when(unknown)
        .then(pl.lit("UNKNOWN"))
        .when(zoned.is_null())
        .then(None)
        .when(has_hour)
        .then(pl.lit("MINUTE"))
        .otherwise(pl.lit("DAY"))
    )
    absent = ~unknown & day.is_null()
    return Forward(
        (zoned.dt.convert_time_zone("UTC"), precision),
        (
            Objection(absent & ~well_formed, MALFORMED),
            Objection(absent & ((month == "00") | (day_of_month == "00")), PARTIAL),
            Objection(absent, IMPOSSIBLE),
            Objection(hour.is_not_null() & ~has_hour, NOT_AN_HOUR, source=1),
        ),
        (
            Objection(has_hour & (hour != "0000") & (text.is_null() | unknown), HOUR_ALONE, source=1),
            Objection(local.is_not_null() & zoned.is_null(), SKIPPED),
            Objection(zoned.is_not_null() & only_once.is_null(), TOLD_TWICE),
        ),
        steps.taken,
    )


def _backward(values: Columns, setting: LensSetting) -> Backward:
    steps = Steps()
    zoned = values[0].dt.convert_time_zone(setting.time_zone)
    local = steps.let("local", zoned.dt.replace_time_zone(None))
    precision = values[1] if len(values) > 1 else pl.lit(None, dtype=pl.String)
    is_unknown_day = local.is_null() & (precision == "UNKNOWN")
    day = pl.when(is_unknown_day).then(pl.lit("0")).otherwise(local.dt.strftime("%Y%m%d"))
    refusals = (out_of_years(local),)
    if setting.inputs == 1:
        return Backward((day,), refusals, steps.taken)
    tells_hour = local.is_not_null() & (precision != "DAY").fill_null(value=True)
    hour = pl.when(tells_hour).then(local.dt.strftime("%H%M")).otherwise(pl.lit(BLANK_HOUR))
    return Backward((day, hour), refusals, steps.taken)


LOCAL = Lens(_forward, _backward)
