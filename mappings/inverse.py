"""Back: canonical rows as they stand now, written as the legacy rows that say the same.

A remembered raw text is written again if, and only if, reading it gives the values that stand now; else the values
are written anew. What the old system cannot show keeps its previous text and is listed, never passed over.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import assert_never

import polars as pl

from banyan.records import KEY_SEPARATOR
from mappings.compile import Compiled
from mappings.current import Current, align
from mappings.fate_masks import holds
from mappings.lenses.lens import Degradation
from mappings.losses import Losses, list_losses
from mappings.outcomes import Lookups, WrittenBack
from mappings.plans import (
    REFUSED,
    REFUSED_CAUSE,
    LensPlan,
    PartPlan,
    ReferencePlan,
    SiblingPlan,
    raw_name,
)
from mappings.references import find_keys, refers_to

NO_SUCH_REFERENCE = "the row referred to has no key in the old system"


@dataclass(slots=True)
class _Writing:
    """The raw texts chosen so far, column by column, and the edits that have no form."""

    current: Current
    lookups: Lookups
    chosen: dict[str, pl.Series] = field(default_factory=dict)
    losses: Losses = field(default_factory=Losses)

    def write_present(self, part: PartPlan) -> None:
        """Choose the texts of the columns of one part, for the rows that have it."""
        for plan in part.fields:
            match plan:
                case LensPlan():
                    self._write_lens(part, plan)
                case ReferencePlan():
                    self._write_reference(part, plan)
                case SiblingPlan():
                    pass
                case _:
                    assert_never(plan)

    def _write_lens(self, part: PartPlan, plan: LensPlan) -> None:
        if not plan.owned:
            return
        current, values, present = self.current, self.current.values(part, plan), self.current.present(part)
        written = plan.write(values)
        fresh = self._complete(
            plan,
            {
                column: written[raw_name(number)]
                for number, column in enumerate(plan.rule.sources)
                if column in plan.owned
            },
        )
        cells = {column: current.cells[column] for column in plan.owned}
        kept = present & _any(cell.kept for cell in cells.values())
        remembered = self._complete(plan, {column: cell.or_written(fresh[column]) for column, cell in cells.items()})
        previous = self._complete(plan, {column: cell.previous for column, cell in cells.items()})
        by_residue = _reads_as(plan, remembered, values, kept)
        by_previous = _reads_as(plan, previous, values, present & ~by_residue & current.has_previous)
        refused = present & ~by_residue & ~by_previous & written[REFUSED].is_not_null()
        fresh = self._spare(plan, fresh, values)
        for column, cell in cells.items():
            text = cell.remembered().zip_with(refused, fresh[column])
            text = previous[column].zip_with(by_previous, text)
            self.chosen[column] = remembered[column].zip_with(by_residue, text)
        self.losses.refuse(part, plan.rule, refused, kind=written[REFUSED], cause=written[REFUSED_CAUSE])

    def _complete(self, plan: LensPlan, owned: Mapping[str, pl.Series]) -> pl.DataFrame:
        """Put the columns that a field writes beside those that it only reads."""
        keys = self.current.keys()
        columns = {
            column: owned[column] if column in owned else keys[column] if column in keys else self.chosen[column]
            for column in plan.rule.sources
        }
        return pl.DataFrame(columns, schema=dict.fromkeys(plan.rule.sources, pl.String))

    def _spare(self, plan: LensPlan, fresh: pl.DataFrame, values: pl.DataFrame) -> pl.DataFrame:
        """Keep, among several columns of one field, the remembered texts that say the same beside the new ones."""
        if len(plan.owned) < 2:
            return fresh
        for column in plan.owned:
            cell = self.current.cells[column]
            attempt = fresh.with_columns(cell.or_written(fresh[column]).alias(column))
            same = _reads_as(plan, attempt, values, cell.kept)
            fresh = fresh.with_columns(attempt[column].zip_with(same, fresh[column]).alias(column))
        return fresh

    def _write_reference(self, part: PartPlan, plan: ReferencePlan) -> None:
        if not plan.owned:
            return
        ids, present = self.current.parts[part.rule.name][plan.output], self.current.present(part)
        keys = find_keys(ids, self.lookups.keys_by_id.get(plan.table))
        sources = plan.rule.sources
        previous = pl.DataFrame({column: self._previous(column) for column in sources})
        by_previous = keys.is_null() & ids.is_not_null() & refers_to(plan, self.current.compiled.source, previous, ids)
        unknown = present & ids.is_not_null() & keys.is_null() & ~by_previous
        split = keys.str.split_exact(KEY_SEPARATOR, len(sources) - 1)
        for number, column in enumerate(sources):
            if column not in plan.owned:
                continue
            cell = self.current.cells[column]
            text = previous[column].zip_with(by_previous, split.struct.field(f"field_{number}"))
            text = cell.residue.zip_with(ids.is_null() & cell.kept, text)
            self.chosen[column] = cell.remembered().zip_with(unknown, text)
        self.losses.refuse(
            part,
            plan.rule,
            unknown,
            kind=pl.repeat(Degradation.UNKNOWN_REFERENCE.value, len(ids), eager=True),
            cause=pl.repeat(NO_SUCH_REFERENCE, len(ids), eager=True),
        )

    def _previous(self, column: str) -> pl.Series:
        keys = self.current.keys()
        return keys[column] if column in keys else self.current.cells[column].previous

    def carry(self) -> None:
        """Write the columns that live only as residue as they were."""
        for column in self.current.compiled.carried:
            cell = self.current.cells[column]
            self.chosen[column] = cell.residue

    def blank_absent(self, part: PartPlan) -> None:
        """Blank the columns of a part that rows do not have, unless their residue says the same absence."""
        absent = ~self.current.present(part)
        if not absent.any():
            return
        explained = absent & self._explains_absence(part)
        for column in part.owned:
            text = self.current.cells[column].residue
            blank = pl.repeat(None, len(text), dtype=pl.String, eager=True)
            self.chosen[column] = text.zip_with(explained, blank).zip_with(absent, self.chosen[column])

    def _explains_absence(self, part: PartPlan) -> pl.Series:
        when = part.rule.when
        if when is None:
            return pl.repeat(value=False, n=self.current.height, eager=True)
        raw = self.current.cells[when.column].residue if when.column in part.owned else self.row()[when.column]
        return raw.alias(when.column).to_frame().select(~holds(when)).to_series()

    def row(self) -> pl.DataFrame:
        """Give the legacy rows as chosen so far."""
        return self.current.keys().with_columns(text.alias(column) for column, text in self.chosen.items())


def write_back(
    compiled: Compiled, parts: Mapping[str, pl.DataFrame], crosswalk: pl.DataFrame, lookups: Lookups
) -> WrittenBack:
    """Write canonical rows, as they stand now, as legacy rows; list every edit that these cannot show."""
    current = align(compiled, parts, crosswalk, lookups)
    writing = _Writing(current, lookups)
    writing.carry()
    for part in compiled.parts:
        writing.write_present(part)
    for part in compiled.parts:
        writing.blank_absent(part)
    rows = writing.row().select(compiled.written)
    return WrittenBack(
        rows=rows,
        identities=pl.DataFrame({"main_id": current.main_ids, "source_key": current.source_keys}),
        degraded=list_losses(current, rows, lookups, writing.losses),
    )


def _reads_as(plan: LensPlan, raws: pl.DataFrame, values: pl.DataFrame, where: pl.Series) -> pl.Series:
    """Tell, among the rows of `where`, which raw texts read as the values that stand now."""
    same = pl.repeat(value=False, n=raws.height, eager=True)
    if not where.any():
        return same
    agrees = plan.agrees(plan.read(raws.filter(where)), values.filter(where))
    return same.scatter(where.arg_true(), agrees)


def _any(masks: Iterable[pl.Series]) -> pl.Series:
    result: pl.Series | None = None
    for mask in masks:
        result = mask if result is None else result | mask
    if result is None:
        raise ValueError("a field that writes no column has nothing to remember")
    return result
