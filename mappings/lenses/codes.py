"""Codes through an approved code map: looked up byte for byte, never guessed."""

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
)
from mappings.model import CodeMap

UNKNOWN_SOURCE_CODE = "a code that the code map does not know"
UNKNOWN_CANONICAL_CODE = "a code that has no source code in the code map"


def read_code(text: pl.Expr, code_map: CodeMap) -> pl.Expr:
    """Give the canonical code of a source code, null for codes that are not in the map."""
    return text.replace_strict(dict(code_map.entries), default=None, return_dtype=pl.String)


def write_code(code: pl.Expr, code_map: CodeMap) -> pl.Expr:
    """Give the source code to write for a canonical code, null for codes that have none."""
    return code.replace_strict(code_map.backward(), default=None, return_dtype=pl.String)


def through_code_map(lens: Lens, code_map: CodeMap) -> Lens:
    """Put a code map behind a lens: on what it yields first, and before what it writes."""

    def forward(columns: Columns, setting: LensSetting) -> Forward:
        inner, steps = lens.forward(columns, setting), Steps()
        text = steps.let("text of code", inner.values[0])
        code = steps.let("code", read_code(text, code_map))
        unknown = Objection(text.is_not_null() & code.is_null(), UNKNOWN_SOURCE_CODE)
        values = (code, *inner.values[1:])
        return Forward(values, (*inner.rejections, unknown), inner.events, (*inner.steps, *steps.taken))

    def backward(values: Columns, setting: LensSetting) -> Backward:
        steps = Steps()
        text = steps.let("source code", write_code(values[0], code_map))
        outer = lens.backward((text, *values[1:]), setting)
        has_none = values[0].is_not_null() & text.is_null()
        unknown = Refusal(has_none, Degradation.UNKNOWN_CODE, UNKNOWN_CANONICAL_CODE)
        return Backward(outer.raws, (unknown, *outer.refusals), (*steps.taken, *outer.steps))

    return Lens(forward, backward)
