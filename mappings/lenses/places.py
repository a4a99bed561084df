"""Places: street numbers, postal codes, and communes found by department and name, never by postal code."""

import polars as pl

from mappings.lenses.codes import DATED
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

NOT_A_POSTAL_CODE = "not a postal code of five digits"
LOST_ZERO = "a postal code of four digits; the lost zero was put back"
NO_NUMBER = "^([0-9]{1,4}(?: ?(?:BIS|TER|QUATER|[A-D]))?)[ ,]+(.+)$"
"""A number of a street, perhaps with its repetition, and what follows it."""


def _postal_forward(columns: Columns, setting: LensSetting) -> Forward:
    steps = Steps()
    text = steps.let("text", without_blanks(columns[0]))
    short = steps.let("short", text.str.contains("^[1-9][0-9]{3}$"))
    code = steps.let("code", pl.when(short).then(pl.concat_str([pl.lit("0"), text])).otherwise(text))
    well_formed = code.str.contains("^(?:0[1-9]|[1-8][0-9]|9[0-8])[0-9]{3}$")
    return Forward((code,), (Objection(~well_formed, NOT_A_POSTAL_CODE),), (Objection(short, LOST_ZERO),), steps.taken)


def _postal_backward(values: Columns, setting: LensSetting) -> Backward:
    strange = ~values[0].str.contains("^(?:0[1-9]|[1-8][0-9]|9[0-8])[0-9]{3}$")
    return Backward((values[0],), (Refusal(strange, Degradation.OUT_OF_ALPHABET, NOT_A_POSTAL_CODE),))


def _street_forward(columns: Columns, setting: LensSetting) -> Forward:
    steps = Steps()
    text = steps.let("text", without_blanks(columns[0]))
    number = steps.let("number", text.str.extract(NO_NUMBER, 1))
    rest = text.str.extract(NO_NUMBER, 2)
    return Forward((number, pl.when(number.is_null()).then(text).otherwise(rest)), steps=steps.taken)


def _street_backward(values: Columns, setting: LensSetting) -> Backward:
    steps = Steps()
    number = values[0]
    name = values[1] if len(values) > 1 else pl.lit(None, dtype=pl.String)
    both = pl.concat_str([number, name], separator=" ")
    written = steps.let("written", pl.when(number.is_null()).then(name).otherwise(both))
    reads_as = written.str.extract(NO_NUMBER, 1).ne_missing(number)
    differs = Refusal(
        (number.is_not_null() | name.is_not_null()) & (reads_as | (number.is_not_null() & name.is_null())),
        Degradation.NO_PLACE,
        "number and street written together would read differently",
    )
    return Backward((written,), (differs,), steps.taken)


def commune_key(name: pl.Expr) -> pl.Expr:
    """Give the form of a commune's name by which it is found: capitals without accents, signs, CEDEX, short words."""
    plain = name.str.to_uppercase().str.replace_many(["Œ", "Æ"], ["OE", "AE"]).str.normalize("NFD")
    plain = plain.str.replace_all(r"\p{M}", "").str.replace_all("[^A-Z0-9]+", " ").str.strip_chars(" ")
    plain = plain.str.replace(" CEDEX( [0-9]+)?$", "").str.replace_all(r"\bSTE\b", "SAINTE")
    return plain.str.replace_all(r"\bST\b", "SAINT").str.replace(" [0-9]+(E|ER|EME)?( ARRONDISSEMENT)?$", "")


def _commune_forward(columns: Columns, setting: LensSetting) -> Forward:
    """Read department and name as the key of the commune table, which is the code map of the rule."""
    department = columns[1].str.strip_chars(" ").str.to_uppercase()
    name = commune_key(columns[0])
    both = pl.concat_str([department, pl.lit("|"), name])
    key = pl.when((name != "") & (department != "")).then(both)
    if setting.inputs == 2:
        return Forward((key,))
    return DATED.forward((key, columns[2]), setting)


def _commune_backward(values: Columns, setting: LensSetting) -> Backward:
    halves = values[0].str.splitn("|", 2)
    nothing = [pl.lit(None, dtype=pl.String)] * (setting.inputs - 2)
    return Backward((halves.struct.field("field_1"), halves.struct.field("field_0"), *nothing))


POSTAL_CODE = Lens(_postal_forward, _postal_backward)
STREET = Lens(_street_forward, _street_backward)
COMMUNE = Lens(_commune_forward, _commune_backward, is_dated=True)
