"""French telephone numbers: kept as written, with their international form where it is certain."""

import polars as pl

from mappings.lenses.lens import Backward, Columns, Forward, Lens, LensSetting, Steps, longer_than

OVERSEAS = (
    ("262", "REU", ("262", "263", "692", "693")),
    ("262", "MYT", ("269", "639")),
    ("590", "GLP", ("590", "690", "691")),
    ("594", "GUF", ("594", "694")),
    ("596", "MTQ", ("596", "696", "697")),
)
"""Country code, country, first three digits of the national numbers: territories that share the French plan."""

_PREFIXES = {start: prefix for prefix, _, starts in OVERSEAS for start in starts}
_COUNTRIES = {start: country for _, country, starts in OVERSEAS for start in starts}
_PUNCTUATION = ["(0)", " ", ".", "-", "/", "(", ")", "\u00a0", "\u202f"]


def _forward(columns: Columns, setting: LensSetting) -> Forward:
    raw, steps = columns[0], Steps()
    bare = steps.let("bare", raw.str.replace_many(_PUNCTUATION, [""] * len(_PUNCTUATION), leftmost=True))
    plus = pl.concat_str([pl.lit("+"), bare.str.slice(2)])
    digits = steps.let("digits", pl.when(bare.str.starts_with("00")).then(plus).otherwise(bare))
    home = steps.let("home", digits.str.extract(r"^(?:0|\+330?)?([1-9][0-9]{8})$"))
    start = steps.let("start", home.str.head(3))
    prefix = start.replace_strict(_PREFIXES, default="33", return_dtype=pl.String)
    country = start.replace_strict(_COUNTRIES, default="FRA", return_dtype=pl.String)
    number = pl.concat_str([pl.lit("+"), prefix, home])
    is_abroad = steps.let("abroad", digits.str.contains(r"^\+[1-9][0-9]{6,14}$") & ~digits.str.starts_with("+33"))
    direct = digits.str.slice(4, 3)
    shares_plan = is_abroad & (digits.str.len_bytes() == 13)
    shares_plan &= digits.str.slice(1, 3) == direct.replace_strict(_PREFIXES, default=None, return_dtype=pl.String)
    territory = pl.when(shares_plan).then(direct.replace_strict(_COUNTRIES, default=None, return_dtype=pl.String))
    return Forward(
        (
            raw,
            pl.when(home.is_not_null()).then(number).when(is_abroad).then(digits),
            pl.when(home.is_not_null()).then(country).otherwise(territory),
        ),
        steps=steps.taken,
    )


def _backward(values: Columns, setting: LensSetting) -> Backward:
    if "max" not in setting.parameters:
        return Backward((values[0],))
    return Backward((values[0],), (longer_than(values[0], setting.number("max")),))


NUMBER = r"(?:\+33|0033|0)[ .]?(?:\(0\))?[ .]?[1-9](?:[ ./-]?[0-9]{2}){4}"
"""A French number inside a longer text."""


def _each_forward(columns: Columns, setting: LensSetting) -> Forward:
    """Read one of the numbers that a field holds; a field with one number or none is read whole, in its first place."""
    place = setting.number("place")
    if place < 1:
        raise ValueError("the first place is 1")
    steps = Steps()
    found = steps.let("numbers", columns[0].str.extract_all(NUMBER))
    several = found.list.len() > 1
    whole = columns[0] if place == 1 else pl.lit(None, dtype=pl.String)
    one = steps.let("one", pl.when(several).then(found.list.get(place - 1, null_on_oob=True)).otherwise(whole))
    read = _forward((one,), setting)
    return Forward(read.values, (), (), (*steps.taken, *read.steps))


EACH = Lens(_each_forward, _backward)
FRENCH = Lens(_forward, _backward)
