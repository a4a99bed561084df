"""The lenses once more, one value at a time, in plain Python: what the vectorised ones must agree with."""

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

CAUSES = {
    "impossible": "not a day of the calendar",
    "partial": "a partial date has no place here",
    "malformed": "not a date of the expected form",
    "hour": "not an hour of the day",
    "hour alone": "an hour without its day",
    "skipped": "an hour that the change of clock skipped",
    "twice": "an hour that the change of clock told twice; the earlier instant was taken",
    "whole": "not a whole number",
    "amount": "not an amount with at most four decimals",
    "digits": "not a number made of digits alone",
    "great": "too great for the canonical number",
    "flag": "neither yes nor no nor blank",
    "code": "not a whole number that can be a code",
    "separator": "holds the separator of the code it is part of",
}


class Rejected(Exception):
    def __init__(self, cause, source=0):
        super().__init__(cause)
        self.cause, self.source = CAUSES[cause], source


class Refused(Exception):
    def __init__(self, kind):
        super().__init__(kind)
        self.kind = kind


def blank_to_null(text):
    return text if text else None


def trimmed(text):
    return None if text is None else blank_to_null(text.strip(" "))


def bounded(text, size):
    if text is not None and len(text) > size:
        raise Refused("TOO_LONG")
    return text


# -- texts and names --------------------------------------------------------------------------------------------


def padded_forward(raws, p):
    return (None if raws[0] is None else blank_to_null(raws[0].rstrip(" ")),), None


def padded_backward(values, p):
    text = bounded(values[0], p["n"])
    return (None if text is None else text + " " * (p["n"] - len(text)),)


def use_name_forward(raws, p):
    if raws[0] is None:
        return (None, None), None
    surname, _, used = raws[0].partition(p["sep"])
    return (trimmed(surname), trimmed(used)), None


def use_name_backward(values, p):
    surname, used = values[0], values[1] if len(values) > 1 else None
    text = surname if used is None else (surname or "") + p["sep"] + used
    bounded(text, p["max"])
    if surname is not None and p["sep"] in surname:
        raise Refused("NO_PLACE")
    return (text,)


def given_forward(raws, p):
    return (None if raws[0] is None else trimmed(re.sub(" {2,}", " ", raws[0])),), None


# -- dates and instants -----------------------------------------------------------------------------------------


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
    return text in ("0", re.sub("[YMD]", "0", mask), re.sub("[YMD]", "9", mask))


def day_forward(raws, p):
    text = trimmed(raws[0])
    if text is None or is_unknown(text, "YYYYMMDD"):
        return (None,), None
    found = cut(text, "YYYYMMDD")
    if not found:
        raise Rejected("malformed")
    if "00" in (found["MM"], found["DD"]):
        raise Rejected("partial")
    day = real_day(found["YYYY"], found["MM"], found["DD"])
    if day is None:
        raise Rejected("impossible")
    return (day,), None


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
        return (None, "UNKNOWN", text), None
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


def instant_forward(raws, p):
    text, hour = trimmed(raws[0]), trimmed(raws[1]) if len(raws) > 1 else None
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


# -- numbers, flags ---------------------------------------------------------------------------------------------


def integer_forward(raws, p):
    text = trimmed(raws[0])
    if text is None:
        return (None,), None
    if not re.fullmatch("-?[0-9]+", text):
        raise Rejected("whole")
    if not -(2**63) <= int(text) < 2**63:
        raise Rejected("great")
    return (int(text),), None


def integer_backward(values, p):
    if values[0] is not None and values[0] != int(values[0]):
        raise Refused("NO_PLACE")
    return (None if values[0] is None else str(int(values[0])),)


def comma_forward(raws, p):
    text = trimmed(raws[0])
    if text is None:
        return (None,), None
    spelled = re.sub("[ \u00a0\u202f]", "", text).replace(",", ".", 1)
    if not re.fullmatch(r"-?[0-9]+(\.[0-9]{1,4})?", spelled):
        raise Rejected("amount")
    value = Decimal(spelled) + 0
    if abs(value) >= 10**14:
        raise Rejected("great")
    return (value,), None


def comma_backward(values, p):
    if values[0] is None:
        return (None,)
    text = f"{values[0]:,.4f}".replace(",", " ").replace(".", ",")
    for _ in range(2):
        text = text.removesuffix("0")
    return (bounded(text, p["max"]),)


def implied_forward(raws, p):
    text = trimmed(raws[0])
    if text is None:
        return (None,), None
    if not re.fullmatch("-?[0-9]+", text):
        raise Rejected("digits")
    value = Decimal(text).scaleb(-p["scale"]) + 0
    if abs(value) >= 10**14:
        raise Rejected("great")
    return (value,), None


def implied_backward(values, p):
    if values[0] is None:
        return (None,)
    shifted = values[0].scaleb(p["scale"])
    if shifted != int(shifted):
        raise Refused("NO_PLACE")
    return (f"{int(shifted)}",)


def point_forward(raws, p):
    text = trimmed(raws[0])
    if text is None:
        return (None,), None
    if not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text) or Decimal(text) != round(Decimal(text), 4):
        raise Rejected("amount")
    if abs(Decimal(text)) >= 10**14:
        raise Rejected("great")
    return (Decimal(text) + 0,), None


def point_backward(values, p):
    if values[0] is None:
        return (None,)
    if values[0] != round(values[0], p["scale"]):
        raise Refused("NO_PLACE")
    return (bounded(f"{values[0]:.{p['scale']}f}".rjust(p["width"]), p["width"]),)


def as_code_forward(raws, p):
    text = trimmed(raws[0])
    if text is None:
        return (None,), None
    if not re.fullmatch(r"[0-9]+(\.0+)?", text):
        raise Rejected("code")
    return (text.split(".")[0].lstrip("0") or None,), None


def as_code_backward(values, p):
    if values[0] is not None and not re.fullmatch("[1-9][0-9]*", values[0]):
        raise Refused("OUT_OF_ALPHABET")
    text = (values[0] or "0") + ("." + "0" * p["scale"] if p["scale"] else "")
    return (bounded(text.rjust(p["width"]), p["width"]),)


def joined_forward(raws, p):
    for number, raw in enumerate(raws[:-1]):
        if raw is not None and p["sep"] in raw:
            raise Rejected("separator", number)
    return (None if None in raws else p["sep"].join(raws),), None


def joined_backward(values, p):
    if values[0] is None:
        return (None,) * p["inputs"]
    raws = tuple(values[0].split(p["sep"], p["inputs"] - 1))
    if len(raws) < p["inputs"]:
        raise Refused("NO_PLACE")
    return raws


def flag_forward(raws, p):
    raw = raws[0]
    if raw is None:
        return (None,), None
    if raw in (p["yes"], p["no"]):
        return (raw == p["yes"],), None
    text = raw.rstrip(" ")
    if text == "":
        return (None,), None
    if text in (p["yes"].rstrip(" "), p["no"].rstrip(" ")):
        return (text == p["yes"].rstrip(" "),), None
    raise Rejected("flag")


def flag_backward(values, p):
    return (None if values[0] is None else p["yes"] if values[0] else p["no"],)


# -- phones, plates, case numbers -------------------------------------------------------------------------------

OVERSEAS = {
    **dict.fromkeys(("262", "263", "692", "693"), ("262", "REU")),
    **dict.fromkeys(("269", "639"), ("262", "MYT")),
    **dict.fromkeys(("590", "690", "691"), ("590", "GLP")),
    **dict.fromkeys(("594", "694"), ("594", "GUF")),
    **dict.fromkeys(("596", "696", "697"), ("596", "MTQ")),
}


def phone_forward(raws, p):
    raw = raws[0]
    if raw is None:
        return (None, None, None), None
    digits = re.sub("[ .\\-/()\u00a0\u202f]", "", raw.replace("(0)", ""))
    digits = "+" + digits[2:] if digits.startswith("00") else digits
    home = re.fullmatch(r"(?:0|\+330?)([1-9][0-9]{8})", digits)
    if home:
        prefix, country = OVERSEAS.get(home[1][:3], ("33", "FRA"))
        return (raw, f"+{prefix}{home[1]}", country), None
    if digits.startswith("+33") or not re.fullmatch(r"\+[1-9][0-9]{6,14}", digits):
        return (raw, None, None), None
    prefix, country = OVERSEAS.get(digits[4:7], (None, None))
    is_overseas = len(digits) == 13 and prefix == digits[1:4]
    return (raw, digits, country if is_overseas else None), None


def plate_forward(raws, p):
    raw = raws[0]
    if raw is None:
        return (None, None, None), None
    compact = re.sub("[ .\\-\u00a0]", "", raw.upper())
    letters = "[A-HJ-NP-TV-Z]{2}"
    siv = re.fullmatch(f"({letters})([0-9]{{3}})({letters})", compact)
    fni = re.fullmatch("([1-9][0-9]{0,3})([A-Z]{1,3})(2[AB]|97[1-6]|0[1-9]|[1-8][0-9]|9[0-5])", compact)
    misread = re.fullmatch("[A-Z0-9]{2}[0-9IO]{3}[A-Z0-9]{2}|[0-9IO]{1,4}[A-Z]{1,3}[0-9IO]{2,3}", compact)
    if compact == "":
        return (raw, None, None), None
    if siv:
        return (raw, "-".join(siv.groups()), "SIV"), None
    if fni:
        return (raw, " ".join(fni.groups()), "FNI"), None
    if not misread and 4 <= len(compact) <= 10 and re.fullmatch("([A-Z]+[0-9]|[0-9]+[A-Z])[A-Z0-9]*", compact):
        return (raw, compact, "FOREIGN"), None
    return (raw, None, "UNKNOWN"), None


def case_number_forward(raws, p):
    text = trimmed(raws[0])
    return (raws[0], None if text is None else re.sub("^0+(?=[0-9])", "", text.upper())), None


def same_forward(raws, p):
    return (raws[0],), None


def same_backward(values, p):
    return (values[0],)


def max_backward(values, p):
    return (bounded(values[0], p.get("n", p.get("max"))),)


LENSES = {
    "verbatim": (same_forward, same_backward),
    "code": (same_forward, same_backward),
    "text.padded": (padded_forward, padded_backward),
    "text.trimmed": (lambda raws, p: ((trimmed(raws[0]),), None), same_backward),
    "text.max": (same_forward, max_backward),
    "name.use_name": (use_name_forward, use_name_backward),
    "name.given": (given_forward, max_backward),
    "date.yyyymmdd": (day_forward, day_backward),
    "date.partial_yyyymmdd": (partial_forward, partial_backward),
    "date.partial": (partial_forward, partial_backward),
    "instant.local": (instant_forward, instant_backward),
    "number.integer": (integer_forward, integer_backward),
    "number.decimal_comma": (comma_forward, comma_backward),
    "number.implied": (implied_forward, implied_backward),
    "number.point": (point_forward, point_backward),
    "number.as_code": (as_code_forward, as_code_backward),
    "text.joined": (joined_forward, joined_backward),
    "flag": (flag_forward, flag_backward),
    "phone.fr": (phone_forward, same_backward),
    "plate.fr": (plate_forward, same_backward),
    "case_number.normalised": (case_number_forward, same_backward),
}

__all__ = ["LENSES", "Refused", "Rejected"]
