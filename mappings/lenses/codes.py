"""Codes through an approved code map: looked up byte for byte, never guessed."""

import polars as pl

from mappings.lenses.lens import Degradation, Objection, Refusal
from mappings.model import CodeMap

UNKNOWN_SOURCE_CODE = "a code that the code map does not know"
UNKNOWN_CANONICAL_CODE = "a code that has no source code in the code map"


def read_code(text: pl.Expr, code_map: CodeMap) -> tuple[pl.Expr, Objection]:
    """Give the canonical code of a source code, and object to codes that are not in the map."""
    code = text.replace_strict(dict(code_map.entries), default=None, return_dtype=pl.String)
    return code, Objection(text.is_not_null() & code.is_null(), UNKNOWN_SOURCE_CODE)


def write_code(code: pl.Expr, code_map: CodeMap) -> tuple[pl.Expr, Refusal]:
    """Give the source code to write for a canonical code, and refuse codes that have none."""
    text = code.replace_strict(code_map.backward(), default=None, return_dtype=pl.String)
    unknown = code.is_not_null() & text.is_null()
    return text, Refusal(unknown, Degradation.UNKNOWN_CODE, UNKNOWN_CANONICAL_CODE)
