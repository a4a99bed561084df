"""Several texts that make one code together, in order, with a separator between them."""

import polars as pl

from mappings.lenses.lens import Backward, Columns, Degradation, Forward, Lens, LensSetting, Objection, Refusal

HOLDS_SEPARATOR = "holds the separator of the code it is part of"


def _forward(columns: Columns, setting: LensSetting) -> Forward:
    separator = setting.text("sep")
    objections = tuple(
        Objection(column.str.contains(separator, literal=True), HOLDS_SEPARATOR, number)
        for number, column in enumerate(columns[:-1])  # the last one takes what follows, separators and all
    )
    return Forward((pl.concat_str(columns, separator=separator),), objections)


def _backward(values: Columns, setting: LensSetting) -> Backward:
    separator, count = setting.text("sep"), setting.inputs
    parts = values[0].str.splitn(separator, count)
    missing = Refusal(
        values[0].str.count_matches(separator, literal=True) < count - 1,
        Degradation.NO_PLACE,
        f"has fewer than {count} parts",
    )
    return Backward(tuple(parts.struct.field(f"field_{number}") for number in range(count)), (missing,))


JOINED = Lens(_forward, _backward)
