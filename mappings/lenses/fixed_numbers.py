"""Numbers that a table keeps as text, right-aligned in a field of fixed width, with a point and a fixed scale (DBF)."""

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
    null_if_empty,
    without_blanks,
)
from mappings.lenses.numbers import AMOUNT, DECIMALS, NOT_AN_AMOUNT, TOO_GREAT

NOT_A_CODE = "not a whole number that can be a code"


def _point_forward(columns: Columns, setting: LensSetting) -> Forward:
    steps = Steps()
    text = steps.let("text", without_blanks(columns[0]))
    well_formed = steps.let("well formed", text.str.contains(r"^-?[0-9]+(\.[0-9]{1,4}0*)?$"))
    whole = text.str.strip_chars_end("0").str.strip_chars_end(".")
    spelled = pl.when(text.str.contains(".", literal=True)).then(whole).otherwise(text)
    value = steps.let("value", pl.when(well_formed).then(spelled).cast(AMOUNT, strict=False))
    return Forward(
        (value,),
        (Objection(~well_formed, NOT_AN_AMOUNT), Objection(well_formed & value.is_null(), TOO_GREAT)),
        steps=steps.taken,
    )


def _point_backward(values: Columns, setting: LensSetting) -> Backward:
    scale = setting.number("scale")
    steps = Steps()
    halves = steps.let("halves", values[0].cast(AMOUNT).cast(pl.String).str.split_exact(".", 1))
    whole, decimals = halves.struct.field("field_0"), halves.struct.field("field_1")
    shown = pl.concat_str([decimals.str.head(min(scale, DECIMALS)), pl.lit("0" * max(scale - DECIMALS, 0))])
    written = pl.concat_str([whole, pl.lit("."), shown]) if scale else whole
    aligned = steps.let("aligned", written.str.pad_start(setting.number("width"), " "))
    lost = decimals.str.tail(max(DECIMALS - scale, 0))
    too_fine = Refusal(lost.str.contains("[1-9]"), Degradation.NO_PLACE, f"more than {scale} decimals")
    return Backward((aligned,), (too_fine, longer_than(aligned, setting.number("width"))), steps.taken)


def _code_forward(columns: Columns, setting: LensSetting) -> Forward:
    steps = Steps()
    text = steps.let("text", without_blanks(columns[0]))
    well_formed = steps.let("well formed", text.str.contains(r"^[0-9]+(\.0+)?$"))
    whole = null_if_empty(text.str.replace(r"\.0+$", "").str.strip_chars_start("0"))
    return Forward((pl.when(well_formed).then(whole),), (Objection(~well_formed, NOT_A_CODE),), steps=steps.taken)


def _code_backward(values: Columns, setting: LensSetting) -> Backward:
    scale = setting.number("scale")
    steps = Steps()
    code = values[0]
    point = "." + "0" * scale if scale else ""
    shown = pl.concat_str([code.fill_null("0"), pl.lit(point)]).str.pad_start(setting.number("width"), " ")
    aligned = steps.let("aligned", shown)
    strange = Refusal(~code.str.contains("^[1-9][0-9]*$"), Degradation.OUT_OF_ALPHABET, "not a whole number above zero")
    return Backward((aligned,), (strange, longer_than(aligned, setting.number("width"))), steps.taken)


POINT = Lens(_point_forward, _point_backward)
AS_CODE = Lens(_code_forward, _code_backward)
