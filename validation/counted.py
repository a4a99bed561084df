"""Control totals as a part of L5: declared for what the closure holds, or a reason why none can be, or not answered.

Whether the figures agree is no matter of this part: a total that differs closes the gate by itself.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

from banyan.findings import LevelResult
from validation.declared_totals import COUNTED, TOTALS_FOLDER, DeclaredTotals
from validation.facts import NotCounted

PART = "totals"


@dataclass(frozen=True, slots=True)
class Coverage:
    """Which facts and amounts a closure holds, how many totals count them, and what cannot be counted."""

    held: tuple[str, ...]
    declared: int
    not_counted: tuple[NotCounted, ...]

    @property
    def is_answered(self) -> bool:
        """Tell whether there is a total, nothing to count, or a reason for each table that none is there for."""
        return bool(self.declared) or set(self.held) <= {each.table for each in self.not_counted}


def coverage_of(
    declared: DeclaredTotals, legacy_tables: Collection[str], canonical_tables: Collection[str]
) -> Coverage:
    """Tell what is declared for a closure of these tables; legacy tables as the rules name them."""
    held = tuple(table for table in COUNTED if table in canonical_tables)
    asked = sum(total.table in legacy_tables for total in declared.totals)
    nowhere = tuple(NotCounted(table, declared.nowhere[table]) for table in held if table in declared.nowhere)
    return Coverage(held, asked, nowhere)


def with_totals(level: LevelResult, coverage: Coverage) -> LevelResult:
    """Put the part into L5: its figure, its sentence, and its name among the parts when it is answered."""
    figures = {**level.figures, "totals_declared": coverage.declared}
    if coverage.is_answered:
        answered = {*str(level.figures.get("parts", "")).split("+"), PART} - {""}
        figures["parts"] = "+".join(sorted(answered))
    return replace(level, sentence=f"{level.sentence.removesuffix('.')}; {_say(coverage)}", figures=figures)


def _say(coverage: Coverage) -> str:
    if coverage.declared:
        return f"{coverage.declared} control totals are declared"
    if not coverage.held:
        return "this closure holds no facts or amounts to count"
    if coverage.is_answered:
        return f"no control total can be counted, as declared with the reason: {', '.join(coverage.held)}"
    return (
        f"no control total is declared for {', '.join(coverage.held)}:"
        f" declare one in {TOTALS_FOLDER}/*.yaml beside the rules, or `none` with the reason"
    )
