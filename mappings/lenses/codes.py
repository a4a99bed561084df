"""Codes through an approved code map: looked up byte for byte, never guessed."""

import polars as pl

from mappings.lenses.dates import Mask
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

AT = "@"
"""Between a source code and the day from which it means what the entry says."""
UNKNOWN_SOURCE_CODE = "a code that the code map does not know"
UNKNOWN_CANONICAL_CODE = "a code that has no source code in the code map"


def read_code(text: pl.Expr, code_map: CodeMap) -> pl.Expr:
    """Give the canonical code of a source code, null for codes that are not in the map."""
    return text.replace_strict(dict(code_map.entries), default=None, return_dtype=pl.String)


def read_dated_code(text: pl.Expr, code_map: CodeMap) -> pl.Expr:
    """Give the canonical code of `<source code>@<YYYYMMDD>` on that day; without a day, the code of today."""
    code, day = (text.str.splitn(AT, 2).struct.field(f"field_{number}") for number in range(2))
    read = _replaced(code, {key: one for key, one in code_map.entries.items() if AT not in key})
    for version in _versions(code_map):
        since = _replaced(code, {key: start for key, (start, _) in version.items()})
        later = _replaced(code, {key: one for key, (_, one) in version.items()})
        read = pl.when(since.is_not_null() & (day.is_null() | (day >= since))).then(later).otherwise(read)
    return read


def _versions(code_map: CodeMap) -> list[dict[str, tuple[str, str]]]:
    """Give the dated entries by code: the first change of each, then the second of those that have one, and so on."""
    dated: dict[str, list[tuple[str, str]]] = {}
    for key, canonical in code_map.entries.items():
        code, sign, start = key.rpartition(AT)
        if sign:
            dated.setdefault(code, []).append((start, canonical))
    changes = {code: sorted(starts) for code, starts in dated.items()}
    most = max((len(starts) for starts in changes.values()), default=0)
    return [{code: starts[n] for code, starts in changes.items() if n < len(starts)} for n in range(most)]


def _replaced(text: pl.Expr, entries: dict[str, str]) -> pl.Expr:
    if not entries:
        return pl.lit(None, dtype=pl.String)
    return text.replace_strict(entries, default=None, return_dtype=pl.String)


def write_code(code: pl.Expr, code_map: CodeMap) -> pl.Expr:
    """Give the source code to write for a canonical code, null for codes that have none."""
    written = {canonical: source.partition(AT)[0] for canonical, source in code_map.backward().items()}
    return code.replace_strict(written, default=None, return_dtype=pl.String)


def through_code_map(lens: Lens, code_map: CodeMap) -> Lens:
    """Put a code map behind a lens: on what it yields first, and before what it writes."""

    read = read_dated_code if lens.is_dated else read_code

    def forward(columns: Columns, setting: LensSetting) -> Forward:
        inner, steps = lens.forward(columns, setting), Steps()
        text = steps.let("text of code", inner.values[0])
        code = steps.let("code", read(text, code_map))
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

    return Lens(forward, backward, lens.reads_nul)


def _dated_forward(columns: Columns, setting: LensSetting) -> Forward:
    mask = Mask(setting.text("mask"))
    day = columns[1].str.strip_chars(" ")
    compact = pl.concat_str([mask.part(day, part) for part in ("YYYY", "MM", "DD")])
    known = day.str.contains(mask.pattern) & (compact >= "10000000") & (compact < "99990000")
    at_day = pl.when(known).then(pl.concat_str([pl.lit(AT), compact])).otherwise(pl.lit(""))
    return Forward((pl.concat_str([columns[0].str.strip_chars_end(" "), at_day.fill_null("")]),))


def _dated_backward(values: Columns, setting: LensSetting) -> Backward:
    return Backward((values[0], pl.lit(None, dtype=pl.String)))


DATED = Lens(_dated_forward, _dated_backward, is_dated=True)
