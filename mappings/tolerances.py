"""Tolerances: what a rule declares that the legacy type cannot tell apart, and which columns it holds for.

A tolerance is read by the comparison of both sides alone. It is declared at a field and is never guessed: without one,
two values are the same when they are equal, and in no other case.
"""

from collections.abc import Sequence

from banyan.canonical.model import TABLES, CanonicalTable, Kind
from mappings.model import LensCall, PartRule, Tolerance, ToleranceKind

_KINDS = {
    ToleranceKind.SECOND: Kind.INSTANT,
    ToleranceKind.MINUTE: Kind.INSTANT,
    ToleranceKind.DECIMALS: Kind.NUMERIC,
    ToleranceKind.TRAILING_BLANKS: Kind.TEXT,
}
_WITHOUT_BLANKS = ("text.control_free", "text.padded", "text.trimmed")
"""Lenses by which blanks at the end of a text say nothing."""


def read_tolerance(written: str | None) -> Tolerance | None:
    """Read a tolerance as a rule file writes it: second, minute, trailing_blanks, decimals(2)."""
    if written is None:
        return None
    name, _, rest = written.partition("(")
    return Tolerance(ToleranceKind(name), int(rest.removesuffix(")") or 0))


def find_tolerance_problem(
    tolerance: Tolerance, to: Sequence[str], table: CanonicalTable, lens: LensCall | None
) -> tuple[str, str] | None:
    """Say why a field cannot have a tolerance, and what to write; nothing when it can."""
    if not _columns(tolerance, to, table):
        kind = _KINDS[tolerance.kind].value
        return f"tolerance {tolerance} is for {kind}, and the field fills no such column", "remove tolerance"
    if tolerance.kind is ToleranceKind.TRAILING_BLANKS and (lens is None or lens.name not in _WITHOUT_BLANKS):
        return (
            "the lens of the field carries blanks at the end: they say something",
            f"remove tolerance, or use one of: {', '.join(_WITHOUT_BLANKS)}",
        )
    return None


def tolerances_of(part: PartRule) -> dict[str, Tolerance]:
    """Give the tolerance of each canonical column of a part that has one."""
    return {
        column: rule.tolerance
        for rule in part.fields
        if rule.tolerance is not None
        for column in _columns(rule.tolerance, rule.to, TABLES[part.table])
    }


def _columns(tolerance: Tolerance, to: Sequence[str], table: CanonicalTable) -> list[str]:
    kinds = {column.name: column.kind for column in table.columns}
    return [column for column in to if kinds.get(column) is _KINDS[tolerance.kind]]
