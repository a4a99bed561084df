"""Numbers written as text: whole, with a decimal comma, with decimals implied. Never through a float, never rounded."""

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

AMOUNT = pl.Decimal(18, 4)

NOT_WHOLE = "not a whole number"
NOT_AN_AMOUNT = "not an amount with at most four decimals"
NOT_DIGITS = "not a number made of digits alone"
TOO_GREAT = "too great for the canonical number"
DECIMALS = 4


def _integer_forward(columns: Columns, setting: LensSetting) -> Forward:
    steps = Steps()
    text = steps.let("text", without_blanks(columns[0]))
    well_formed = steps.let("well formed", text.str.contains("^-?[0-9]+$"))
    value = steps.let("value", pl.when(well_formed).then(text).str.to_integer(strict=False))
    return Forward(
        (value,),
        (Objection(~well_formed, NOT_WHOLE), Objection(well_formed & value.is_null(), TOO_GREAT)),
        steps=steps.taken,
    )


def _integer_backward(values: Columns, setting: LensSetting) -> Backward:
    amount = values[0].cast(AMOUNT)
    broken = Refusal(amount != amount.floor(), Degradation.NO_PLACE, "the number is not whole")
    return Backward((values[0].cast(pl.Int64, strict=False).cast(pl.String),), (broken,))


def _amount_forward(columns: Columns, setting: LensSetting) -> Forward:
    steps = Steps()
    text = without_blanks(columns[0])
    bare = text.str.replace_all("[ \u00a0\u202f]", "").str.replace(",", ".", literal=True)
    spelled = steps.let("spelled", bare)
    well_formed = steps.let("well formed", spelled.str.contains(r"^-?[0-9]+(\.[0-9]{1,4})?$"))
    value = steps.let("value", pl.when(well_formed).then(spelled).cast(AMOUNT, strict=False))
    return Forward(
        (value,),
        (Objection(~well_formed, NOT_AN_AMOUNT), Objection(well_formed & value.is_null(), TOO_GREAT)),
        steps=steps.taken,
    )


def _amount_backward(values: Columns, setting: LensSetting) -> Backward:
    steps = Steps()
    halves = steps.let("halves", values[0].cast(AMOUNT).cast(pl.String).str.split_exact(".", 1))
    sign = pl.when(halves.struct.field("field_0").str.starts_with("-")).then(pl.lit("-")).otherwise(pl.lit(""))
    whole = halves.struct.field("field_0").str.strip_chars_start("-")
    grouped = whole.str.reverse().str.replace_all("([0-9]{3})", "${1} ").str.strip_chars_end(" ").str.reverse()
    cents = halves.struct.field("field_1").str.replace("0{1,2}$", "")
    written = steps.let("written", pl.concat_str([sign, grouped, pl.lit(","), cents]))
    return Backward((written,), (longer_than(written, setting.number("max")),), steps.taken)


def _implied_forward(columns: Columns, setting: LensSetting) -> Forward:
    scale = setting.number("scale")
    if not 0 <= scale <= DECIMALS:
        raise ValueError(f"the scale must be 0 to {DECIMALS}")
    steps = Steps()
    text = steps.let("text", without_blanks(columns[0]))
    well_formed = steps.let("well formed", text.str.contains("^-?[0-9]+$"))
    sign = pl.when(text.str.starts_with("-")).then(pl.lit("-")).otherwise(pl.lit(""))
    digits = text.str.strip_chars_start("-").str.pad_start(scale + 1, "0")
    whole, decimals = _cut(digits, scale)
    spelled = pl.concat_str([sign, whole, pl.lit("."), decimals, pl.lit("0" * (DECIMALS - scale))])
    value = steps.let("value", pl.when(well_formed).then(spelled).cast(AMOUNT, strict=False))
    return Forward(
        (value,),
        (Objection(~well_formed, NOT_DIGITS), Objection(well_formed & value.is_null(), TOO_GREAT)),
        steps=steps.taken,
    )


def _implied_backward(values: Columns, setting: LensSetting) -> Backward:
    scale = setting.number("scale")
    steps = Steps()
    plain = steps.let("plain", values[0].cast(AMOUNT).cast(pl.String))
    sign = pl.when(plain.str.starts_with("-")).then(pl.lit("-")).otherwise(pl.lit(""))
    digits = plain.str.strip_chars_start("-").str.replace(".", "", literal=True)
    kept, lost = _cut(digits, DECIMALS - scale)
    written = pl.concat_str([sign, kept.str.strip_chars_start("0").str.pad_start(1, "0")])
    too_fine = Refusal(lost.str.contains("[1-9]"), Degradation.NO_PLACE, f"more than {scale} decimals")
    return Backward((written,), (too_fine,), steps.taken)


def _cut(digits: pl.Expr, size: int) -> tuple[pl.Expr, pl.Expr]:
    return (digits.str.head(-size), digits.str.tail(size)) if size else (digits, pl.lit(""))


INTEGER = Lens(_integer_forward, _integer_backward)
DECIMAL_COMMA = Lens(_amount_forward, _amount_backward)
IMPLIED = Lens(_implied_forward, _implied_backward)
