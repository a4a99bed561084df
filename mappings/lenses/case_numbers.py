"""Numbers of procedures: kept as written by the unit, with a form without padding to search by."""

from mappings.lenses.lens import Backward, Columns, Forward, Lens, LensSetting, longer_than, without_blanks


def _forward(columns: Columns, setting: LensSetting) -> Forward:
    raw = columns[0]
    normalised = without_blanks(raw).str.to_uppercase().str.replace("^0+([0-9])", "${1}")
    return Forward((raw, normalised))


def _backward(values: Columns, setting: LensSetting) -> Backward:
    if "max" not in setting.parameters:
        return Backward((values[0],))
    return Backward((values[0],), (longer_than(values[0], setting.number("max")),))


NORMALISED = Lens(_forward, _backward)
