"""Back: canonical rows as they stand now, written as the legacy rows that say the same.

A remembered raw text is written again if, and only if, reading it gives the values that stand now; else the values
are written anew. What the old system cannot show keeps its previous text and is listed, never passed over.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import assert_never

import polars as pl

from mappings.agreement import agreements
from mappings.compile import Compiled
from mappings.current import Current, align, split_key
from mappings.fate_masks import holds
from mappings.lanes import Lane, write_lenses
from mappings.lenses.lens import Degradation
from mappings.lookups import seat
from mappings.losses import Losses, list_losses
from mappings.outcomes import Lookups, WrittenBack
from mappings.plans import LensPlan, PartPlan, ReferencePlan, SiblingPlan
from mappings.references import find_keys, refers_to

NO_SUCH_REFERENCE = "the row referred to has no key in the old system"


@dataclass(slots=True)
class _Writing:
    """The raw texts chosen so far, column by column, and the edits that have no form."""

    current: Current
    lookups: Lookups
    chosen: dict[str, pl.Series] = field(default_factory=dict)
    losses: Losses = field(default_factory=Losses)

    def write_parts(self) -> None:
        """Choose the texts of the columns of all parts; fields that read a column of another one come after it."""
        lenses = [(part, plan) for part in self.current.compiled.parts for plan in part.lenses if plan.owned]
        alone = [(part, plan) for part, plan in lenses if set(plan.owned) == set(plan.rule.sources)]
        self._write_lenses(alone)
        done = {plan.names for _, plan in alone}
        for part in self.current.compiled.parts:
            for plan in part.fields:
                match plan:
                    case LensPlan():
                        if plan.owned and plan.names not in done:
                            self._write_lenses([(part, plan)])
                    case ReferencePlan():
                        self._write_reference(part, plan)
                    case SiblingPlan():
                        pass
                    case _:
                        assert_never(plan)

    def _write_lenses(self, fields: Sequence[tuple[PartPlan, LensPlan]]) -> None:
        if not fields:
            return
        current, plans = self.current, [plan for _, plan in fields]
        written = write_lenses(plans, current.board, Lane.AUTO)
        fresh = {
            column: written[plan.names.raw(plan.rule.sources.index(column))] for plan in plans for column in plan.owned
        }
        cells = {column: current.cells[column] for column in fresh}
        remembered = {column: cell.or_written(fresh[column]) for column, cell in cells.items()}
        previous = {column: cell.previous for column, cell in cells.items()}
        present = {plan.names.number: current.present(part) for part, plan in fields}
        kept = {
            plan.names.number: reduce(or_, (cells[column].kept for column in plan.owned)) & present[plan.names.number]
            for plan in plans
        }
        by_residue = agreements(plans, self._complete(plans, remembered), current.board, kept)
        there = {number: mask & ~by_residue[number] & current.has_previous for number, mask in present.items()}
        by_previous = agreements(plans, self._complete(plans, previous), current.board, there)
        for part, plan in fields:
            number = plan.names.number
            anew = present[number] & ~by_residue[number] & ~by_previous[number]
            refused = self._refuse(part, plan, written, anew)
            spared = self._spare(plan, {column: fresh[column] for column in plan.owned}, anew & ~refused)
            for column in plan.owned:
                text = cells[column].remembered().zip_with(refused, spared[column])
                text = previous[column].zip_with(by_previous[number], text)
                self.chosen[column] = remembered[column].zip_with(by_residue[number], text)

    def _refuse(self, part: PartPlan, plan: LensPlan, written: pl.DataFrame, anew: pl.Series) -> pl.Series:
        refusal = written[plan.names.refusal]
        if refusal.null_count() == len(refusal):
            return pl.Series([False]).new_from_index(0, len(refusal))
        refused = anew & refusal.is_not_null()
        kind = pl.Series([refusal.kind.value for refusal in plan.refusals]).gather(refusal)
        cause = pl.Series([refusal.cause for refusal in plan.refusals]).gather(refusal)
        self.losses.refuse(part, plan.rule, refused, kind=kind, cause=cause)
        return refused

    def _complete(self, plans: Sequence[LensPlan], owned: Mapping[str, pl.Series]) -> pl.DataFrame:
        """Put the columns that fields write beside those that they only read."""
        keys = self.current.keys
        columns = {
            column: owned[column] if column in owned else keys[column] if column in keys else self.chosen[column]
            for plan in plans
            for column in plan.rule.sources
        }
        return pl.DataFrame([text.cast(pl.String).alias(column) for column, text in columns.items()])

    def _spare(self, plan: LensPlan, fresh: dict[str, pl.Series], anew: pl.Series) -> dict[str, pl.Series]:
        """Keep, among several columns of one field, the remembered texts that say the same beside the new ones."""
        if len(plan.owned) < 2:
            return fresh
        for column in plan.owned:
            cell = self.current.cells[column]
            attempt = fresh | {column: cell.or_written(fresh[column])}
            where = {plan.names.number: cell.kept & anew}
            same = agreements([plan], self._complete([plan], attempt), self.current.board, where)[plan.names.number]
            fresh = fresh | {column: attempt[column].zip_with(same, fresh[column])}
        return fresh

    def _write_reference(self, part: PartPlan, plan: ReferencePlan) -> None:
        if not plan.owned:
            return
        ids, present = self.current.parts[part.rule.name][plan.output], self.current.present(part)
        keys = find_keys(ids, self.lookups.keys_by_id.get(plan.table))
        sources = plan.rule.sources
        previous = pl.DataFrame([self._previous(column).alias(column) for column in sources])
        by_previous = keys.is_null() & ids.is_not_null()
        if by_previous.any():
            by_previous &= refers_to(plan, self.current.compiled.source, previous, ids)
        unknown = present & ids.is_not_null() & keys.is_null() & ~by_previous
        written = split_key(keys, len(sources))
        for number, column in enumerate(sources):
            if column not in plan.owned:
                continue
            cell = self.current.cells[column]
            text = previous[column].zip_with(by_previous, written[number])
            text = cell.residue.zip_with(ids.is_null() & cell.kept, text)
            self.chosen[column] = cell.remembered().zip_with(unknown, text)
        if not unknown.any():
            return
        self.losses.refuse(
            part,
            plan.rule,
            unknown,
            kind=pl.repeat(Degradation.UNKNOWN_REFERENCE.value, len(ids), eager=True),
            cause=pl.repeat(NO_SUCH_REFERENCE, len(ids), eager=True),
        )

    def _previous(self, column: str) -> pl.Series:
        keys = self.current.keys
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
        return pl.DataFrame([*self.current.keys, *(text.alias(column) for column, text in self.chosen.items())])


def write_back(
    compiled: Compiled, parts: Mapping[str, pl.DataFrame], crosswalk: pl.DataFrame, lookups: Lookups
) -> WrittenBack:
    """Write canonical rows, as they stand now, as legacy rows; list every edit that these cannot show."""
    compiled = seat(compiled, lookups.looked_up, rows=crosswalk.height)
    current = align(compiled, parts, crosswalk, lookups)
    writing = _write(current, lookups)
    rows = writing.row().select(compiled.written)
    return WrittenBack(
        rows=rows,
        identities=pl.DataFrame([current.main_ids, current.source_keys]),
        degraded=list_losses(current, rows, lookups, writing.losses),
    )


def write_texts(
    compiled: Compiled, parts: Mapping[str, pl.DataFrame], crosswalk: pl.DataFrame, lookups: Lookups
) -> pl.DataFrame:
    """Give the texts that `write_back` writes, for whoever asks nothing about edits that these cannot show."""
    compiled = seat(compiled, lookups.looked_up, rows=crosswalk.height)
    return _write(align(compiled, parts, crosswalk, lookups), lookups).row().select(compiled.written)


def _write(current: Current, lookups: Lookups) -> _Writing:
    writing = _Writing(current, lookups)
    writing.carry()
    writing.write_parts()
    for part in current.compiled.parts:
        writing.blank_absent(part)
    return writing
