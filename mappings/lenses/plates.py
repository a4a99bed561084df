"""Registration plates seen in France: kept as written, with a normalised form and the system they belong to."""

import polars as pl

from mappings.lenses.lens import Backward, Columns, Forward, Lens, LensSetting, Steps, longer_than

_LETTER = "[A-HJ-NP-TV-Z]"
SIV = f"^({_LETTER}{{2}})([0-9]{{3}})({_LETTER}{{2}})$"
"""Since 2009: letters I, O and U are never used."""
FNI = "^([1-9][0-9]{0,3})([A-Z]{1,3})(2[AB]|97[1-6]|0[1-9]|[1-8][0-9]|9[0-5])$"
"""Before 2009: number, letters, department."""
MISREAD = "^(?:[A-Z0-9]{2}[0-9IO]{3}[A-Z0-9]{2}|[0-9IO]{1,4}[A-Z]{1,3}[0-9IO]{2,3})$"
"""The shape of a French plate with letters and digits that may have been taken for one another."""
_PUNCTUATION = [" ", ".", "-", "\u00a0"]
ELSEWHERE = "^(?:[A-Z]+[0-9]|[0-9]+[A-Z])[A-Z0-9]*$"


def _forward(columns: Columns, setting: LensSetting) -> Forward:
    raw, steps = columns[0], Steps()
    bare = raw.str.to_uppercase().str.replace_many(_PUNCTUATION, [""] * len(_PUNCTUATION))
    compact = steps.let("compact", bare)
    size = compact.str.len_chars().is_between(4, 10)
    system = steps.let(
        "system",
        pl.when(compact == "")
        .then(None)
        .when(compact.str.contains(SIV))
        .then(pl.lit("SIV"))
        .when(compact.str.contains(FNI))
        .then(pl.lit("FNI"))
        .when(compact.str.contains(MISREAD))
        .then(pl.lit("UNKNOWN"))
        .when(size & compact.str.contains(ELSEWHERE))
        .then(pl.lit("FOREIGN"))
        .when(compact.is_not_null())
        .then(pl.lit("UNKNOWN")),
    )
    normalised = (
        pl.when(system == "SIV")
        .then(compact.str.replace(SIV, "${1}-${2}-${3}"))
        .when(system == "FNI")
        .then(compact.str.replace(FNI, "${1} ${2} ${3}"))
        .when(system == "FOREIGN")
        .then(compact)
    )
    return Forward((raw, normalised, system), steps=steps.taken)


def _backward(values: Columns, setting: LensSetting) -> Backward:
    if "max" not in setting.parameters:
        return Backward((values[0],))
    return Backward((values[0],), (longer_than(values[0], setting.number("max")),))


FRENCH = Lens(_forward, _backward)
