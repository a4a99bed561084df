"""The lenses once more, one value at a time, in plain Python: what the vectorised ones must agree with."""

import re
from decimal import Decimal

from tests.mappings import reference_dates, reference_texts
from tests.mappings.lens_case import LOOKED_UP
from tests.mappings.reference_words import CAUSES, NUL_READERS, Refused, Rejected, blank_to_null, bounded, trimmed

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


ACCESS = {"yes": "-1", "no": "0"}


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
    home = re.fullmatch(r"(?:0|\+330?)?([1-9][0-9]{8})", digits)
    if home:
        prefix, country = OVERSEAS.get(home[1][:3], ("33", "FRA"))
        return (raw, f"+{prefix}{home[1]}", country), None
    if digits.startswith("+33") or not re.fullmatch(r"\+[1-9][0-9]{6,14}", digits):
        return (raw, None, None), None
    prefix, country = OVERSEAS.get(digits[4:7], (None, None))
    is_overseas = len(digits) == 13 and prefix == digits[1:4]
    return (raw, digits, country if is_overseas else None), None


NUMBER = re.compile(r"(?:\+33|0033|0)[ .]?(?:\(0\))?[ .]?[1-9](?:[ ./-]?[0-9]{2}){4}")


def each_phone_forward(raws, p):
    found = NUMBER.findall(raws[0] or "")
    if len(found) > 1:
        return phone_forward((found[p["place"] - 1] if p["place"] <= len(found) else None,), p)
    return phone_forward((raws[0] if p["place"] == 1 else None,), p)


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


# -- look-ups ---------------------------------------------------------------------------------------------------


def lookup_forward(raws, p):
    if any(not (raw or "").strip(" ") for raw in raws):
        return (None,), None
    rows, key = LOOKED_UP[p["target"]], "\x1f".join(raws)
    if key not in rows:
        raise Rejected(f"nobody {p['target'].split('.')[0]}")
    text = blank_to_null((rows[key] or "").rstrip(" "))
    if text and "\x00" in text:
        raise Rejected("looked up nul")
    return (text,), None


def lookup_backward(values, p):
    if values[0] is None:
        return (None,) * p["inputs"]
    rows = LOOKED_UP[p["target"]]
    found = [key for key, text in rows.items() if (text or "").rstrip(" ") == values[0]]
    if len(found) != 1:
        raise Refused("UNKNOWN_REFERENCE")
    return tuple(found[0].split("\x1f"))


LENSES = {
    "lookup": (lookup_forward, lookup_backward),
    "verbatim": (same_forward, same_backward),
    "code": (same_forward, same_backward),
    "text.padded": (padded_forward, padded_backward),
    "text.trimmed": (lambda raws, p: ((trimmed(raws[0]),), None), same_backward),
    "text.max": (same_forward, max_backward),
    "name.use_name": (use_name_forward, use_name_backward),
    "name.given": (given_forward, max_backward),
    **reference_dates.LENSES,
    **reference_texts.LENSES,
    "number.integer": (integer_forward, integer_backward),
    "number.decimal_comma": (comma_forward, comma_backward),
    "number.implied": (implied_forward, implied_backward),
    "number.point": (point_forward, point_backward),
    "number.as_code": (as_code_forward, as_code_backward),
    "text.joined": (joined_forward, joined_backward),
    "flag": (flag_forward, flag_backward),
    "flag.access": (
        lambda raws, p: flag_forward(raws, ACCESS),
        lambda values, p: flag_backward(values, ACCESS),
    ),
    "phone.fr": (phone_forward, same_backward),
    "phone.fr_each": (each_phone_forward, same_backward),
    "plate.fr": (plate_forward, same_backward),
    "case_number.normalised": (case_number_forward, same_backward),
}

__all__ = ["CAUSES", "LENSES", "NUL_READERS", "Refused", "Rejected"]
