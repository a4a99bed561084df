"""Instants written as a local day and hour, read in the zone of the department.

An hour told twice by a change of clock is read as the earlier one; an hour that was skipped has no instant. Both are
counted and their raw text is kept.
"""

import polars as pl

from mappings.lenses.dates import COMPACT, IMPOSSIBLE, ISO, MALFORMED, NUL, PARTIAL, is_unknown, out_of_years, real_day
from mappings.lenses.lens import Backward, Columns, Forward, Lens, LensSetting, Objection, Steps, without_blanks

NOT_AN_HOUR = "not an hour of the day"
HOUR_ALONE = "an hour without its day"
SKIPPED = "an hour that the change of clock skipped"
TOLD_TWICE = "an hour that the change of clock told twice; the earlier instant was taken"
BLANK_HOUR = "    "

_ISO_INSTANT = "^[0-9]{4}-[0-9]{2}-[0-9]{2}( [0-9]{2}:[0-9]{2}:[0-9]{2})?$"
_HOUR = "^([01][0-9]|2[0-3])[0-5][0-9]$"


def in_zone(local: pl.Expr, setting: LensSetting) -> pl.Expr:
    """Read a local hour in the department's zone: the earlier of two instants, null for an hour that was skipped."""
    return local.dt.replace_time_zone(setting.time_zone, ambiguous="earliest", non_existent="null")


def zone_events(local: pl.Expr, zoned: pl.Expr, setting: LensSetting) -> tuple[Objection, Objection]:
    """Count the hours that the change of clock skipped, and those it told twice."""
    only_once = local.dt.replace_time_zone(setting.time_zone, ambiguous="null", non_existent="null")
    return (
        Objection(local.is_not_null() & zoned.is_null(), SKIPPED),
        Objection(zoned.is_not_null() & only_once.is_null(), TOLD_TWICE),
    )


def _forward(columns: Columns, setting: LensSetting) -> Forward:
    steps = Steps()
    text = steps.let("text", without_blanks(columns[0]))
    no_hour = pl.lit(None, dtype=pl.String)
    hour = steps.let("hour", without_blanks(columns[1].str.strip_chars(f" {NUL}")) if setting.inputs > 1 else no_hour)
    well_formed = steps.let("well formed", text.str.contains(COMPACT.pattern))
    unknown = steps.let("unknown", is_unknown(text, COMPACT))
    year, month, day_of_month = (COMPACT.part(text, part) for part in ("YYYY", "MM", "DD"))
    day = steps.let("day", pl.when(well_formed).then(real_day(year, month, day_of_month)))
    has_hour = steps.let("has hour", hour.str.contains(_HOUR).fill_null(value=False))
    clock = pl.when(has_hour).then(hour).otherwise(pl.lit("0000"))
    written = pl.when(day.is_not_null()).then(pl.concat_str([text, clock]))
    local = steps.let("local", written.str.to_datetime("%Y%m%d%H%M", strict=False, time_unit="us"))
    zoned = steps.let("zoned", in_zone(local, setting))
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
            *zone_events(local, zoned, setting),
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


def _iso_forward(columns: Columns, setting: LensSetting) -> Forward:
    steps = Steps()
    text = steps.let("text", without_blanks(columns[0]))
    day_text = steps.let("day text", text.str.slice(0, len(ISO.text)))
    well_formed = steps.let("well formed", text.str.contains(_ISO_INSTANT))
    unknown = steps.let("unknown", is_unknown(day_text, ISO) & (well_formed | text.str.contains(f"^{NUL}+$")))
    year, month, day_of_month = (ISO.part(text, part) for part in ("YYYY", "MM", "DD"))
    day = steps.let("day", pl.when(well_formed).then(real_day(year, month, day_of_month)))
    has_hour = steps.let("has hour", text.str.len_bytes() > len(ISO.text))
    clock = pl.when(has_hour).then(text.str.slice(11)).otherwise(pl.lit("00:00:00"))
    told = pl.when(day.is_not_null()).then(pl.concat_str([day_text, pl.lit(" "), clock]))
    local = steps.let("local", told.str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False, time_unit="us"))
    zoned = steps.let("zoned", in_zone(local, setting))
    precision = pl.when(has_hour).then(pl.lit("MINUTE")).otherwise(pl.lit("DAY"))
    absent = steps.let("absent", ~unknown & day.is_null())
    return Forward(
        (
            zoned.dt.convert_time_zone("UTC"),
            pl.when(unknown).then(pl.lit("UNKNOWN")).when(zoned.is_not_null()).then(precision),
        ),
        (
            Objection(absent & ~well_formed, MALFORMED),
            Objection(absent & ((month == "00") | (day_of_month == "00")), PARTIAL),
            Objection(absent, IMPOSSIBLE),
            Objection(has_hour & day.is_not_null() & local.is_null(), NOT_AN_HOUR),
        ),
        zone_events(local, zoned, setting),
        steps.taken,
    )


def _iso_backward(values: Columns, setting: LensSetting) -> Backward:
    steps = Steps()
    zoned = values[0].dt.convert_time_zone(setting.time_zone)
    local = steps.let("local", zoned.dt.replace_time_zone(None))
    precision = values[1] if len(values) > 1 else pl.lit(None, dtype=pl.String)
    written = (
        pl.when(local.is_null() & (precision == "UNKNOWN"))
        .then(pl.lit(f"{ISO.filled('0')} 00:00:00"))
        .when(precision == "DAY")
        .then(local.dt.strftime("%Y-%m-%d"))
        .otherwise(local.dt.strftime("%Y-%m-%d %H:%M:%S"))
    )
    return Backward((written,), (out_of_years(local),), steps.taken)


LOCAL = Lens(_forward, _backward, reads_nul=True)
ISO_LOCAL = Lens(_iso_forward, _iso_backward, reads_nul=True)
