"""The lenses of texts, amounts and places once more, one value at a time, in plain Python."""

import re
import unicodedata
import uuid
from decimal import Decimal

from tests.mappings.reference_words import Refused, Rejected, blank_to_null, bounded, trimmed


def ended(text):
    return None if text is None else blank_to_null(text.rstrip(" "))


# -- case, controls, code pages ---------------------------------------------------------------------------------


def upper_backward(values, p):
    return one_case(values[0], str.upper)


def lower_backward(values, p):
    return one_case(values[0], str.lower)


def one_case(value, fold):
    if value is not None and value != fold(value):
        raise Refused("OUT_OF_ALPHABET")
    return (value,)


def control_free_forward(raws, p):
    if raws[0] is None:
        return (None,), None
    kept = "".join(c for c in raws[0] if c in "\t\r\n" or unicodedata.category(c) != "Cc")
    return (ended(re.sub("[\t\r\n]+", " ", kept)),), None


def control_free_backward(values, p):
    if values[0] is not None and any(unicodedata.category(c) == "Cc" for c in values[0]):
        raise Refused("OUT_OF_ALPHABET")
    return (values[0],)


FRENCH = set("àâäçéèêëîïôöœùûüÿæÀÂÄÇÉÈÊËÎÏÔÖŒÙÛÜŸÆ°§²«»’‘“”–—…€µ£¨\u00a0\u202f")


def wrong_bytes(text, page):
    """Encode a text that was read under a page; a byte that the page leaves out is the control of its number."""
    out = b""
    for character in text:
        try:
            out += character.encode(page)
        except UnicodeEncodeError:
            if not 0x80 <= ord(character) <= 0x9F:
                raise
            out += bytes([ord(character)])
    return out


def reread(data, page):
    return "".join(bytes([byte]).decode(page, "ignore") or chr(byte) for byte in data)


def is_strange(text):
    return any(not (c in FRENCH or " " <= c <= "~" or c in "\t\r\n") for c in text)


MAINFRAME = {
    "à": "@", "ç": "\\", "[": "°", "é": "{", "è": "}", "]": "§", "¦": "ù", "`": "µ", "#": "£", "@": "à", "°": "[",
    "µ": "`", "~": "¨", "£": "#", "§": "]", "¨": "~", "{": "é", "}": "è", "ù": "¦", "\\": "ç",
}  # fmt: skip
"""A sign of page 500, and what page 297 means by the same byte."""
SIGNS = set("{}[]\\|@#~`^")


def mainframe(text):
    found = "".join(MAINFRAME.get(character, character) for character in text)
    strange = is_strange(text) or SIGNS & set(text)
    return found if strange and not is_strange(found) and not SIGNS & set(found) else None


def repaired(text, p):
    """Give the repaired text, or None: by encoding and decoding, with no table of letters."""
    if text is None or (text.isascii() and "cp297" not in p.get("mixed", "")):
        return None
    if "double" in p:
        try:
            found = wrong_bytes(text, "cp1252").decode("utf-8")
        except UnicodeError:
            return None
        return found if found != text and all(ord(c) < 0x180 or c in FRENCH for c in found) else None
    if p["mixed"] == "cp297_as_cp500":
        return mainframe(text)
    was, read_as = p["mixed"].split("_as_")
    try:
        found = reread(wrong_bytes(text, read_as), was)
    except UnicodeError:
        return None
    return found if is_strange(text) and not is_strange(found) else None


def repair_forward(raws, p):
    found = repaired(raws[0], p)
    return (raws[0] if found is None else found,), None if found is None else ("repaired", 0)


def repair_backward(values, p):
    if repaired(values[0], p) is not None:
        raise Refused("NO_PLACE")
    return (values[0],)


# -- splitting, choosing ----------------------------------------------------------------------------------------


def split_forward(raws, p):
    if raws[0] is None:
        return (None, None), None
    first, _, second = raws[0].partition(p["sep"])
    return (ended(first), ended(second)), None


def split_backward(values, p):
    first, second = values
    if first is not None and p["sep"] in first:
        raise Refused("NO_PLACE")
    return (first if second is None else (first or "") + p["sep"] + second,)


def first_forward(raws, p):
    return (next((text for text in map(ended, raws) if text is not None), None),), None


def first_backward(values, p):
    return (values[0],) + (None,) * (p["inputs"] - 1)


def when_forward(raws, p):
    return (raws[0] if (raws[1] or "").rstrip(" ") == p["equals"] else None,), None


def when_backward(values, p):
    return values[0], None if values[0] is None else p["equals"]


def regex_forward(raws, p):
    text = ended(raws[0])
    if text is None:
        return (None,), None
    found = re.fullmatch(p["pattern"], text)
    if not found:
        raise Rejected("pattern")
    return (found[1] or None,), None


def regex_backward(values, p):
    if values[0] is None:
        return (None,)
    written = p["form"].replace("{}", values[0])
    found = re.fullmatch(p["pattern"], written)
    if not found or found[1] != values[0]:
        raise Refused("OUT_OF_ALPHABET")
    return (written,)


def cut_forward(raws, p):
    text = ended(raws[0])
    return (text,), ("cut", 0) if text is not None and len(text) >= p["n"] else None


def python_forward(raws, p):
    if raws[0] is None:
        return (None,), None
    if p["lens"].endswith("MIRRORED"):
        return (raws[0][::-1],), None
    found = re.fullmatch("REF-([0-9]+)", raws[0])
    if not found and raws[0].strip(" "):
        raise Rejected("python")
    return (found and found[1],), None


def python_backward(values, p):
    if values[0] is None:
        return (None,)
    return (values[0][::-1] if p["lens"].endswith("MIRRORED") else f"REF-{values[0]}",)


# -- amounts, identifiers ---------------------------------------------------------------------------------------


def decimal_forward(raws, p):
    text = trimmed(raws[0])
    if text is None:
        return (None,), None
    if not re.fullmatch(r"-?[0-9]+(\.[0-9]{1,4}0*)?", text):
        raise Rejected("amount")
    if abs(Decimal(text)) >= 10**14:
        raise Rejected("great")
    return (Decimal(text) + 0,), None


def decimal_backward(values, p):
    if values[0] is None:
        return (None,)
    return (bounded(f"{values[0]:.4f}".rstrip("0").rstrip("."), p["max"]),)


def money_forward(raws, p):
    if raws[0] is None:
        return (None,), None
    bare = trimmed(re.sub("[ \u00a0\u202f]*(€|EUR|EUROS)[ \u00a0\u202f]*$", "", raws[0]))
    if bare is None:
        return (None,), None
    spelled = re.sub("[ \u00a0\u202f]", "", bare).replace(",", ".", 1)
    if not re.fullmatch(r"-?[0-9]+(\.[0-9]{1,4})?", spelled):
        raise Rejected("amount")
    if abs(Decimal(spelled)) >= 10**14:
        raise Rejected("great")
    return (Decimal(spelled) + 0,), None


def money_backward(values, p):
    if values[0] is None:
        return (None,)
    text = f"{values[0]:,.4f}".replace(",", " ").replace(".", ",")
    for _ in range(2):
        text = text.removesuffix("0")
    return (bounded(f"{text} €", p["max"]),)


def zero_padded_forward(raws, p):
    text = trimmed(raws[0])
    if text is None:
        return (None,), None
    if not re.fullmatch("[0-9]+", text):
        raise Rejected("digits")
    if int(text) >= 2**63:
        raise Rejected("great")
    return (int(text),), None


def zero_padded_backward(values, p):
    if values[0] is None:
        return (None,)
    if values[0] < 0 or values[0] != int(values[0]):
        raise Refused("NO_PLACE")
    return (bounded(str(int(values[0])).rjust(p["width"], "0"), p["width"]),)


def uuid_forward(raws, p):
    text = trimmed(raws[0])
    if text is None:
        return (None,), None
    if not re.fullmatch("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text.lower()):
        raise Rejected("uuid")
    return (uuid.UUID(text).bytes,), None


def uuid_backward(values, p):
    return (None if values[0] is None else str(uuid.UUID(bytes=values[0])),)


# -- places -----------------------------------------------------------------------------------------------------


def postal_forward(raws, p):
    text = trimmed(raws[0])
    if text is None:
        return (None,), None
    is_short = re.fullmatch("[1-9][0-9]{3}", text) is not None
    code = f"0{text}" if is_short else text
    if not re.fullmatch("[0-9]{5}", code) or not 1 <= int(code[:2]) <= 98:
        raise Rejected("postal")
    return (code,), ("lost zero", 0) if is_short else None


def postal_backward(values, p):
    if values[0] is not None and not (re.fullmatch("[0-9]{5}", values[0]) and 1 <= int(values[0][:2]) <= 98):
        raise Refused("OUT_OF_ALPHABET")
    return (values[0],)


STREET = re.compile("([0-9]{1,4}(?: ?(?:BIS|TER|QUATER|[A-D]))?)[ ,]+(.+)")


def street_forward(raws, p):
    text = trimmed(raws[0])
    found = STREET.fullmatch(text) if text is not None else None
    return found.groups() if found else (None, text), None


def street_backward(values, p):
    number, street = values
    if number is None and street is None:
        return (None,)
    written = street if number is None else f"{number} {street or ''}"
    found = STREET.fullmatch(written)
    if (found and found[1]) != number or (number is not None and street is None):
        raise Refused("NO_PLACE")
    return (written,)


def commune_name(name):
    plain = unicodedata.normalize("NFD", name.upper().replace("Œ", "OE").replace("Æ", "AE"))
    words = re.findall("[A-Z0-9]+", "".join(c for c in plain if not unicodedata.combining(c)))
    key = re.sub(" CEDEX( [0-9]+)?$", "", " ".join(words))
    key = " ".join({"ST": "SAINT", "STE": "SAINTE"}.get(word, word) for word in key.split(" "))
    return re.sub(" [0-9]+(E|ER|EME)?( ARRONDISSEMENT)?$", "", key)


def commune_forward(raws, p):
    if raws[0] is None or raws[1] is None:
        return (None,), None
    name, department = commune_name(raws[0]), raws[1].strip(" ").upper()
    if not name or not department:
        return (None,), None
    return (f"{department}|{name}",), None


def commune_backward(values, p):
    if values[0] is None:
        return None, None
    department, _, name = values[0].partition("|")
    return name, department


def dated_forward(raws, p):
    if raws[0] is None:
        return (None,), None
    day = re.sub("[^0-9]", "", (raws[1] or "").strip(" "))
    known = re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", (raws[1] or "").strip(" ")) and "10000000" <= day < "99990000"
    return (raws[0].rstrip(" ") + (f"@{day}" if known else ""),), None


LENSES = {
    "text.upper": (lambda raws, p: ((raws[0] and raws[0].upper(),), None), upper_backward),
    "text.lower": (lambda raws, p: ((raws[0] and raws[0].lower(),), None), lower_backward),
    "text.control_free": (control_free_forward, control_free_backward),
    "text.repair": (repair_forward, repair_backward),
    "text.split": (split_forward, split_backward),
    "text.first": (first_forward, first_backward),
    "text.when": (when_forward, when_backward),
    "text.regex": (regex_forward, regex_backward),
    "text.constant": (lambda raws, p: ((p["value"],), None), lambda values, p: (None,)),
    "name.cut": (cut_forward, lambda values, p: (bounded(values[0], p["n"]),)),
    "python": (python_forward, python_backward),
    "number.decimal": (decimal_forward, decimal_backward),
    "number.money": (money_forward, money_backward),
    "number.padded": (zero_padded_forward, zero_padded_backward),
    "id.uuid": (uuid_forward, uuid_backward),
    "address.postal_code": (postal_forward, postal_backward),
    "address.street": (street_forward, street_backward),
    "commune.cog": (commune_forward, commune_backward),
    "code.at": (dated_forward, lambda values, p: (values[0], None)),
}
