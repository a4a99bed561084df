"""Amounts with their currency, decimals after a point, numbers filled with zeros, and identifiers."""

import polars as pl

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
    longer_than,
    without_blanks,
)
from mappings.lenses.numbers import AMOUNT, DECIMAL_COMMA, NOT_AN_AMOUNT, NOT_DIGITS, TOO_GREAT

EURO = " €"
NOT_A_UUID = "not a UUID"


def _money_forward(columns: Columns, setting: LensSetting) -> Forward:
    bare = columns[0].str.replace("[ \u00a0\u202f]*(€|EUR|EUROS)[ \u00a0\u202f]*$", "")
    return DECIMAL_COMMA.forward((bare,), setting)


def _money_backward(values: Columns, setting: LensSetting) -> Backward:
    bare = DECIMAL_COMMA.backward(values, setting)
    steps = Steps()
    written = steps.let("with currency", pl.concat_str([bare.raws[0], pl.lit(EURO)]))
    return Backward((written,), (longer_than(written, setting.number("max")),), (*bare.steps, *steps.taken))


def _decimal_forward(columns: Columns, setting: LensSetting) -> Forward:
    steps = Steps()
    text = steps.let("text", without_blanks(columns[0]))
    well_formed = steps.let("well formed", text.str.contains(r"^-?[0-9]+(\.[0-9]{1,4}0*)?$"))
    short = text.str.replace(r"(\.[0-9]{4})0*$", "${1}")
    value = steps.let("value", pl.when(well_formed).then(short).cast(AMOUNT, strict=False))
    return Forward(
        (value,),
        (Objection(~well_formed, NOT_AN_AMOUNT), Objection(well_formed & value.is_null(), TOO_GREAT)),
        steps=steps.taken,
    )


def _decimal_backward(values: Columns, setting: LensSetting) -> Backward:
    steps = Steps()
    shown = values[0].cast(AMOUNT).cast(pl.String).str.strip_chars_end("0").str.strip_chars_end(".")
    written = steps.let("written", shown)
    return Backward((written,), (longer_than(written, setting.number("max")),), steps.taken)


def _padded_forward(columns: Columns, setting: LensSetting) -> Forward:
    steps = Steps()
    text = steps.let("text", without_blanks(columns[0]))
    well_formed = steps.let("well formed", text.str.contains("^[0-9]+$"))
    value = steps.let("value", pl.when(well_formed).then(text).str.to_integer(strict=False))
    return Forward(
        (value,),
        (Objection(~well_formed, NOT_DIGITS), Objection(well_formed & value.is_null(), TOO_GREAT)),
        steps=steps.taken,
    )


def _padded_backward(values: Columns, setting: LensSetting) -> Backward:
    steps, width = Steps(), setting.number("width")
    amount = values[0].cast(AMOUNT)
    whole = values[0].cast(pl.Int64, strict=False)
    written = steps.let("written", whole.cast(pl.String).str.pad_start(width, "0"))
    unfit = Refusal((amount != amount.floor()) | (amount < 0), Degradation.NO_PLACE, "not a whole number above zero")
    return Backward((written,), (unfit, longer_than(written, width)), steps.taken)


def _uuid_forward(columns: Columns, setting: LensSetting) -> Forward:
    steps = Steps()
    text = steps.let("text", without_blanks(columns[0]).str.to_lowercase())
    well_formed = steps.let("well formed", text.str.contains("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"))
    digits = pl.when(well_formed).then(text.str.replace_all("-", "", literal=True))
    return Forward((digits.str.decode("hex"),), (Objection(~well_formed, NOT_A_UUID),), steps=steps.taken)


def _uuid_backward(values: Columns, setting: LensSetting) -> Backward:
    steps = Steps()
    digits = steps.let("digits", values[0].bin.encode("hex"))
    places = ((0, 8), (8, 4), (12, 4), (16, 4), (20, 12))
    return Backward((pl.concat_str([digits.str.slice(*place) for place in places], separator="-"),), (), steps.taken)


MONEY = Lens(_money_forward, _money_backward)
DECIMAL = Lens(_decimal_forward, _decimal_backward)
PADDED = Lens(_padded_forward, _padded_backward)
UUID = Lens(_uuid_forward, _uuid_backward)
