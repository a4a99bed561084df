"""Dates and instants once more, one value at a time, in plain Python."""

import re
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from zoneinfo import ZoneInfo

from tests.mappings.reference_words import Refused, Rejected, trimmed


def real_day(year, month, day):
    try:
        return date(int(year), int(month), int(day)) if int(year) >= 1000 else None
    except ValueError:
        return None


def cut(text, mask):
    pattern = "".join(re.escape(c) if not c.isalpha() else c for c in mask)
    for part in ("YYYY", "MM", "DD"):
        pattern = pattern.replace(part, f"(?P<{part}>[0-9]{{{len(part)}}})")
    return re.fullmatch(pattern, text)


def is_unknown(text, mask):
    return text in ("0", re.sub("[YMD]", "0", mask), re.sub("[YMD]", "9", mask), "\x00" * len(mask))


def day_forward(raws, p):
    return whole_day(trimmed(raws[0]), p.get("mask", "YYYYMMDD")), None


def whole_day(text, mask):
    if text is None or is_unknown(text, mask):
        return (None,)
    found = cut(text, mask)
    if not found:
        raise Rejected("malformed")
    if "00" in (found["MM"], found["DD"]):
        raise Rejected("partial")
    day = real_day(found["YYYY"], found["MM"], found["DD"])
    if day is None:
        raise Rejected("impossible")
    return (day,)


def with_years(day):
    if day is not None and day.year < 1000:
        raise Refused("NO_PLACE")
    return day


def day_backward(values, p):
    return (None if with_years(values[0]) is None else values[0].strftime("%Y%m%d"),)


def partial_forward(raws, p):
    mask, text = p.get("mask", "YYYYMMDD"), trimmed(raws[0])
    if text is None:
        return (None, None, None), None
    if is_unknown(text, mask):
        return (None, "UNKNOWN", None if "\x00" in text else text), None
    found = cut(text, mask)
    if not found:
        raise Rejected("malformed")
    year, month, day = found["YYYY"], found["MM"], found["DD"]
    precision = "DAY" if day != "00" else "MONTH" if month != "00" else "YEAR"
    value = real_day(year, "01" if precision == "YEAR" else month, "01" if precision != "DAY" else day)
    if value is None:
        raise Rejected("impossible")
    return (value, precision, text if precision != "DAY" else None), None


def partial_backward(values, p):
    mask = p.get("mask", "YYYYMMDD")
    day, precision = with_years(values[0]), values[1] if len(values) > 1 else None
    if precision not in (None, "DAY", "MONTH", "YEAR", "UNKNOWN"):
        raise Refused("UNKNOWN_CODE")
    if day is None:
        unknown = re.sub("[YMD]", "0", mask) if "mask" in p else "0"
        return (unknown if precision == "UNKNOWN" else None,)
    month = "00" if precision == "YEAR" else f"{day.month:02}"
    of_month = "00" if precision in ("YEAR", "MONTH") else f"{day.day:02}"
    return (mask.replace("YYYY", f"{day.year:04}").replace("MM", month).replace("DD", of_month),)


def hour_of(raws):
    return trimmed(raws[1].strip(" \x00")) if len(raws) > 1 and raws[1] is not None else None


def instant_forward(raws, p):
    text, hour = trimmed(raws[0]), hour_of(raws)
    unknown = text is not None and is_unknown(text, "YYYYMMDD")
    day = None
    if text is not None and not unknown:
        (day,), _ = day_forward((raws[0],), p)
    valid = hour is not None and re.fullmatch("([01][0-9]|2[0-3])[0-5][0-9]", hour)
    if hour is not None and not valid:
        raise Rejected("hour", 1)
    if day is None:
        event = ("hour alone", 1) if valid and hour != "0000" else None
        return (None, "UNKNOWN" if unknown else None), event
    clock = hour if valid else "0000"
    zone = ZoneInfo(p["time_zone"])
    local = datetime(day.year, day.month, day.day, int(clock[:2]), int(clock[2:]), tzinfo=zone)
    instant = local.astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) != local.replace(tzinfo=None):
        return (None, None), ("skipped", 0)
    later = local.replace(fold=1).astimezone(UTC)
    return (instant, "MINUTE" if valid else "DAY"), ("twice", 0) if later != instant else None


def instant_backward(values, p):
    instant, precision = values[0], values[1] if len(values) > 1 else None
    if instant is None:
        raws = ("0" if precision == "UNKNOWN" else None, "    ")
    else:
        local = instant.astimezone(ZoneInfo(p["time_zone"]))
        with_years(local)
        raws = (local.strftime("%Y%m%d"), "    " if precision == "DAY" else local.strftime("%H%M"))
    return raws[: p["inputs"]]


# -- masks ------------------------------------------------------------------------------------------------------


def masked_backward(values, p):
    day = with_years(values[0])
    mask = p.get("mask") or p.get("first", "YYYY-MM-DD")
    return (None if day is None else spell(day, mask),)


def spell(day, mask):
    return mask.replace("YYYY", f"{day.year:04}").replace("MM", f"{day.month:02}").replace("DD", f"{day.day:02}")


def masks_forward(raws, p):
    text, masks = trimmed(raws[0]), [p[name] for name in ("first", "second", "third", "fourth") if name in p]
    if text is None or any(is_unknown(text, mask) for mask in masks):
        return (None,), None
    found = [found for found in (cut(text, mask) for mask in masks) if found]
    if not found:
        raise Rejected("malformed")
    day = real_day(found[0]["YYYY"], found[0]["MM"], found[0]["DD"])
    if day is None:
        raise Rejected("impossible")
    return (day,), None


def pivot_forward(raws, p):
    text, mask = trimmed(raws[0]), p["mask"]
    if text is None or text == "0" or text in {re.sub("[YMD]", digit, mask) for digit in "09\x00"}:
        return (None,), None
    pattern = re.escape(mask)
    for part in ("YY", "MM", "DD"):
        pattern = pattern.replace(part, f"(?P<{part}>[0-9]{{2}})")
    found = re.fullmatch(pattern, text)
    if not found:
        raise Rejected("malformed")
    year = int(found["YY"]) + (2000 if int(found["YY"]) < p["pivot"] else 1900)
    return whole_day(f"{year}{found['MM']}{found['DD']}", "YYYYMMDD"), None


def pivot_backward(values, p):
    day = values[0]
    if day is None:
        return (None,)
    if not 1900 + p["pivot"] <= day.year <= 1999 + p["pivot"]:
        raise Refused("NO_PLACE")
    return (day.strftime(p["mask"].replace("YY", "%y").replace("MM", "%m").replace("DD", "%d")),)


# -- numbers of days --------------------------------------------------------------------------------------------

OLE_EPOCH = date(1899, 12, 30)


def ole_number(text):
    if not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text):
        raise Rejected("days")
    return text.partition(".")


def ole_epoch_plus(whole, last=date.max, cause="out of days"):
    days = int(whole)
    if len(whole.lstrip("-")) > 7 or not (date(1000, 1, 1) - OLE_EPOCH).days <= days <= (last - OLE_EPOCH).days:
        raise Rejected(cause)
    return OLE_EPOCH + timedelta(days=days)


def ole_day_forward(raws, p):
    text = trimmed(raws[0])
    if text is None:
        return (None, None), None
    whole, _, decimals = ole_number(text)
    if decimals.strip("0"):
        raise Rejected("part of a day")
    return (ole_epoch_plus(whole), "DAY"), None


def ole_day_backward(values, p):
    if values[0] is not None and values[0].year < 1000:
        raise Refused("NO_PLACE")
    return (None if values[0] is None else str((values[0] - OLE_EPOCH).days),)


def ole_instant_forward(raws, p):
    text = trimmed(raws[0])
    if text is None:
        return (None, None), None
    whole, _, decimals = ole_number(text)
    day = ole_epoch_plus(whole, date(2099, 12, 31), "out of clocks")
    part = Decimal(f"0.{decimals[:10] or 0}") * 86400
    seconds = int(part.to_integral_value(ROUND_HALF_UP))
    (instant, _), event = placed(datetime(day.year, day.month, day.day) + timedelta(seconds=seconds), p)
    return (instant, None if instant is None else "MINUTE" if seconds else "DAY"), event


def placed(naive, p):
    zone = ZoneInfo(p["time_zone"])
    local = naive.replace(tzinfo=zone)
    instant = local.astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) != naive:
        return (None, None), ("skipped", 0)
    later = local.replace(fold=1).astimezone(UTC)
    return (instant, None), ("twice", 0) if later != instant else None


def ole_instant_backward(values, p):
    if values[0] is None:
        return (None,)
    local = values[0].astimezone(ZoneInfo(p["time_zone"]))
    if not 1000 <= local.year <= 2099:
        raise Refused("NO_PLACE")
    days = (local.date() - OLE_EPOCH).days
    part = Decimal(local.hour * 3600 + local.minute * 60 + local.second) / 86400
    part = round(part.quantize(Decimal(10) ** -10, ROUND_HALF_UP), 10)
    decimals = min(10, 15 - len(str(abs(days))))
    written = str(part.quantize(Decimal(10) ** -decimals, ROUND_HALF_UP)).partition(".")[2].rstrip("0")
    return (f"{days}.{written or 0}",)


def julian_forward(raws, p):
    text = trimmed(raws[0])
    if text is None or text in ("0", "000000", "999999", "\x00" * 6):
        return (None,), None
    if not re.fullmatch("[0-9]{6}", text):
        raise Rejected("malformed")
    year, number = 1900 + int(text[:3]), int(text[3:])
    day = date(year, 1, 1) + timedelta(days=number - 1)
    if number < 1 or day.year != year:
        raise Rejected("impossible")
    return (day,), None


def julian_backward(values, p):
    if values[0] is None:
        return (None,)
    if not 1900 <= values[0].year <= 2899:
        raise Refused("NO_PLACE")
    return (f"{values[0].year - 1900:03}{values[0].timetuple().tm_yday:03}",)


def iso_instant_forward(raws, p):
    text = trimmed(raws[0])
    if text is None:
        return (None, None), None
    found = re.fullmatch("([0-9]{4}-[0-9]{2}-[0-9]{2})( ([0-9]{2}):([0-9]{2}):([0-9]{2}))?", text)
    if re.fullmatch("\x00{10,}", text) and text[:10] == "\x00" * 10:
        return (None, "UNKNOWN"), None
    if not found:
        raise Rejected("malformed")
    (day,) = whole_day(found[1], "YYYY-MM-DD")
    if day is None:
        return (None, "UNKNOWN"), None
    clock = [int(part) for part in found.groups()[2:]] if found[2] else [0, 0, 0]
    if clock[0] > 23 or clock[1] > 59 or clock[2] > 59:
        raise Rejected("hour")
    (instant, _), event = placed(datetime(day.year, day.month, day.day, *clock), p)
    return (instant, None if instant is None else "MINUTE" if found[2] else "DAY"), event


def iso_instant_backward(values, p):
    instant, precision = values[0], values[1] if len(values) > 1 else None
    if instant is None:
        return ("0000-00-00 00:00:00" if precision == "UNKNOWN" else None,)
    local = with_years(instant.astimezone(ZoneInfo(p["time_zone"])))
    return (local.strftime("%Y-%m-%d" if precision == "DAY" else "%Y-%m-%d %H:%M:%S"),)


def with_mask(function, mask):
    return lambda given, p: function(given, p | {"mask": mask})


LENSES = {
    "date.yyyymmdd": (day_forward, day_backward),
    "date.partial_yyyymmdd": (partial_forward, partial_backward),
    "date.partial": (partial_forward, partial_backward),
    "date.zero_iso": (with_mask(partial_forward, "YYYY-MM-DD"), with_mask(partial_backward, "YYYY-MM-DD")),
    "date.iso": (with_mask(day_forward, "YYYY-MM-DD"), masked_backward),
    "date.mask": (day_forward, masked_backward),
    "date.masks": (masks_forward, masked_backward),
    "date.pivot": (pivot_forward, pivot_backward),
    "date.ole": (ole_day_forward, ole_day_backward),
    "date.julian": (julian_forward, julian_backward),
    "instant.local": (instant_forward, instant_backward),
    "instant.iso_local": (iso_instant_forward, iso_instant_backward),
    "instant.ole": (ole_instant_forward, ole_instant_backward),
}
