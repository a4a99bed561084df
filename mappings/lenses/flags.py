"""Yes and no, under two texts of the old system."""

from dataclasses import replace

import polars as pl

from mappings.lenses.lens import Backward, Columns, Forward, Lens, LensSetting, Objection
from mappings.model import Scalar

ACCESS: dict[str, Scalar] = {"yes": "-1", "no": "0"}
UNKNOWN_FLAG = "neither yes nor no nor blank"


def _forward(columns: Columns, setting: LensSetting) -> Forward:
    raw, yes, no = columns[0], setting.text("yes"), setting.text("no")
    text = raw.str.strip_chars_end(" ")
    value = (
        pl.when(raw == yes)
        .then(pl.lit(value=True))
        .when(raw == no)
        .then(pl.lit(value=False))
        .when(text == "")
        .then(pl.lit(None, dtype=pl.Boolean))
        .when(text == yes.rstrip(" "))
        .then(pl.lit(value=True))
        .when(text == no.rstrip(" "))
        .then(pl.lit(value=False))
    )
    return Forward((value,), (Objection((text != "") & value.is_null(), UNKNOWN_FLAG),))


def _backward(values: Columns, setting: LensSetting) -> Backward:
    yes, no = pl.lit(setting.text("yes")), pl.lit(setting.text("no"))
    return Backward((pl.when(values[0]).then(yes).when(~values[0]).then(no),))


def _access_forward(columns: Columns, setting: LensSetting) -> Forward:
    return _forward(columns, replace(setting, parameters=ACCESS))


def _access_backward(values: Columns, setting: LensSetting) -> Backward:
    return _backward(values, replace(setting, parameters=ACCESS))


ACCESS_FLAG = Lens(_access_forward, _access_backward)
FLAG = Lens(_forward, _backward)
