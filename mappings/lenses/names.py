"""Names of persons as one column holds them: birth name with use name, given names."""

import polars as pl

from mappings.lenses.lens import (
    Backward,
    Columns,
    Degradation,
    Forward,
    Lens,
    LensSetting,
    Refusal,
    Steps,
    longer_than,
    without_blanks,
)


def _use_name_forward(columns: Columns, setting: LensSetting) -> Forward:
    halves = columns[0].str.splitn(setting.text("sep"), 2)
    return Forward((without_blanks(halves.struct.field("field_0")), without_blanks(halves.struct.field("field_1"))))


def _use_name_backward(values: Columns, setting: LensSetting) -> Backward:
    steps, separator = Steps(), setting.text("sep")
    if len(values) == 1:
        written = named = values[0]
    else:
        named, used = values
        joined = pl.concat_str([named.fill_null(""), pl.lit(separator), used])
        written = pl.when(used.is_null()).then(named).otherwise(joined)
    written = steps.let("written", written)
    holds_separator = Refusal(
        named.str.contains(separator, literal=True),
        Degradation.NO_PLACE,
        "the name holds the text that separates a use name",
    )
    return Backward((written,), (longer_than(written, setting.number("max")), holds_separator), steps.taken)


def _given_forward(columns: Columns, setting: LensSetting) -> Forward:
    return Forward((without_blanks(columns[0].str.replace_all(" {2,}", " ")),))


def _given_backward(values: Columns, setting: LensSetting) -> Backward:
    return Backward((values[0],), (longer_than(values[0], setting.number("max")),))


USE_NAME = Lens(_use_name_forward, _use_name_backward)
GIVEN = Lens(_given_forward, _given_backward)
