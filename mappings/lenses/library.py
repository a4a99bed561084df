"""The expressions of each lens of the catalogue, by name.

`code` is the verbatim lens before the code map it names; `ref` and `part` have no expression of their own: they are
answered with identifiers (`mappings.lenses.references`).
"""

from mappings.lenses import (
    case_numbers,
    dates,
    fixed_numbers,
    flags,
    instants,
    joined,
    names,
    numbers,
    phones,
    plates,
    text,
)
from mappings.lenses.lens import Lens

LENSES: dict[str, Lens] = {
    "verbatim": text.VERBATIM,
    "text.padded": text.PADDED,
    "text.trimmed": text.TRIMMED,
    "text.max": text.BOUNDED,
    "text.joined": joined.JOINED,
    "name.use_name": names.USE_NAME,
    "name.given": names.GIVEN,
    "date.yyyymmdd": dates.DAY,
    "date.partial_yyyymmdd": dates.PARTIAL_COMPACT,
    "date.partial": dates.PARTIAL_MASKED,
    "instant.local": instants.LOCAL,
    "number.integer": numbers.INTEGER,
    "number.decimal_comma": numbers.DECIMAL_COMMA,
    "number.implied": numbers.IMPLIED,
    "number.point": fixed_numbers.POINT,
    "number.as_code": fixed_numbers.AS_CODE,
    "flag": flags.FLAG,
    "code": text.VERBATIM,
    "phone.fr": phones.FRENCH,
    "plate.fr": plates.FRENCH,
    "case_number.normalised": case_numbers.NORMALISED,
}

ANSWERED_WITH_IDENTIFIERS = frozenset(("ref", "part"))
"""Lenses of the catalogue whose values are identifiers of other rows or parts."""
