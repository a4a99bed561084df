"""Degraded write-backs: edits of the new system that the legacy row, as written, does not show.

Besides what a lens refuses, every row written back is read again: what does not come back as it stands is listed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import assert_never

import polars as pl

from mappings.agreement import NOW, stand_now
from mappings.current import Current
from mappings.fate_masks import holds
from mappings.lanes import Lane, read_lenses
from mappings.lenses.lens import Degradation
from mappings.model import FieldRule
from mappings.outcomes import DEGRADED, Lookups
from mappings.plans import LensPlan, PartPlan, ReferencePlan, SiblingPlan
from mappings.references import find_keys, refers_to

READS_DIFFERENTLY = "the form that the old system holds reads differently"
WRITTEN_BY_ANOTHER = "another field writes the legacy column"
SHARED_BY_ROWS = "several rows share this record, and none of them alone writes it"
RECOMPUTED = "recomputed from what the old system holds, never written"
FIXED = "a constant of the rule, which no legacy column holds"
LINK_FIXED = "the parts of one legacy row belong together"
ALWAYS_THERE = "the legacy row always has this part"
NOT_SHOWN = "the legacy row does not show that the part is there"
STILL_SHOWN = "the legacy row still shows the part that was removed"


@dataclass(slots=True)
class Losses:
    """Edits without a form, as they are found; each names the rows by their place."""

    found: list[pl.DataFrame] = field(default_factory=list)
    refused: dict[tuple[str, tuple[str, ...]], pl.Series] = field(default_factory=dict)
    """By part and canonical columns of a field: rows whose edit is already listed."""

    def refuse(self, part: PartPlan, rule: FieldRule, rows: pl.Series, *, kind: pl.Series, cause: pl.Series) -> None:
        """List the rows whose values a field cannot write, each with its kind and cause."""
        self.refused[part.rule.name, rule.to] = rows
        if rows.any():
            frame = pl.DataFrame({"kind": kind, "cause": cause})
            self._append(part, rule.to[0], _first(rule.sources), rows, frame)

    def note(
        self, part: PartPlan, column: str, rows: pl.Series, kind: Degradation, cause: str, *, legacy: str | None = None
    ) -> None:
        """List rows of one canonical column, all of the same kind."""
        if rows.any():
            frame = pl.DataFrame({"kind": pl.repeat(kind.value, len(rows), eager=True)})
            self._append(part, column, legacy, rows, frame.with_columns(pl.lit(cause).alias("cause")))

    def _append(self, part: PartPlan, column: str, legacy: str | None, rows: pl.Series, causes: pl.DataFrame) -> None:
        self.found.append(
            causes.with_row_index("place")
            .filter(rows)
            .select(
                "place",
                pl.lit(part.rule.table).alias("canonical_table"),
                pl.lit(column).alias("column"),
                "kind",
                "cause",
                pl.lit(legacy, dtype=pl.String).alias("legacy_column"),
            )
        )


def _first(columns: Sequence[str]) -> str | None:
    return columns[0] if columns else None


@dataclass(frozen=True, slots=True)
class _Judge:
    """Reads the written rows again and compares them with what stands now."""

    current: Current
    rows: pl.DataFrame
    lookups: Lookups
    losses: Losses
    differing: dict[str, pl.Series] = field(repr=False)
    """By the name of a value on the board: where the written rows read differently; absent where they nowhere do."""

    def judge_part(self, part: PartPlan) -> None:
        """List what one part says and the written rows do not."""
        present = self.current.present(part)
        for plan in part.fields:
            match plan:
                case LensPlan():
                    self._judge_lens(part, plan, present)
                case ReferencePlan():
                    self._judge_reference(part, plan, present)
                case SiblingPlan():
                    self._judge_sibling(part, plan, present)
                case _:
                    assert_never(plan)
        self._judge_fixed(part, present)
        self._judge_presence(part, present)

    def _judge_lens(self, part: PartPlan, plan: LensPlan, present: pl.Series) -> None:
        names = {number: plan.names.value(number) for number in range(len(plan.outputs))}
        if not any(name in self.differing for name in names.values()):
            return
        unjudged = present & ~self._listed(part, plan.rule)
        cause = READS_DIFFERENTLY if plan.owned else SHARED_BY_ROWS if part.rule.share else WRITTEN_BY_ANOTHER
        whole = unjudged
        for number in plan.stated:
            differs = self.differing.get(names[number])
            if differs is None:
                continue
            output, legacy = plan.outputs[number], _first(plan.rule.sources)
            self.losses.note(part, output.name, unjudged & differs, Degradation.NO_PLACE, cause, legacy=legacy)
            whole = whole & ~differs
        for number, output in enumerate(plan.outputs):
            differs = self.differing.get(names[number])
            if output.derived and differs is not None:
                edited = differs & (self.current.board[names[number]].is_not_null() | ~self.current.is_new)
                self.losses.note(part, output.name, whole & edited, Degradation.DERIVED_EDIT, RECOMPUTED)

    def _listed(self, part: PartPlan, rule: FieldRule) -> pl.Series:
        nowhere = pl.Series([False]).new_from_index(0, self.current.height)
        return self.losses.refused.get((part.rule.name, rule.to), nowhere)

    def _judge_reference(self, part: PartPlan, plan: ReferencePlan, present: pl.Series) -> None:
        ids = self.current.parts[part.rule.name][plan.output]
        held = self.rows.select(plan.key().alias("key")).to_series()
        known = find_keys(ids, self.lookups.keys_by_id.get(plan.table))
        same = (held.is_null() & ids.is_null()) | (held == known).fill_null(value=False)
        if same.all():
            return
        same = same | refers_to(plan, self.current.compiled.source, self.rows, ids)
        unjudged = present & ~self._listed(part, plan.rule)
        cause = READS_DIFFERENTLY if plan.owned else WRITTEN_BY_ANOTHER
        self.losses.note(
            part, plan.output, unjudged & ~same, Degradation.NO_PLACE, cause, legacy=_first(plan.rule.sources)
        )

    def _judge_sibling(self, part: PartPlan, plan: SiblingPlan, present: pl.Series) -> None:
        stands = self.current.parts[part.rule.name][plan.output]
        sibling = self.current.parts[plan.part]["id"]
        self.losses.note(part, plan.output, present & stands.ne_missing(sibling), Degradation.NO_PLACE, LINK_FIXED)

    def _judge_fixed(self, part: PartPlan, present: pl.Series) -> None:
        frame = self.current.parts[part.rule.name]
        if part.rule.attach:
            moved = frame[part.rule.attach].ne_missing(self.current.main_ids)
            self.losses.note(part, part.rule.attach, present & moved, Degradation.NO_PLACE, LINK_FIXED)
        fixed = [pl.col(column).ne_missing(constant).alias(column) for column, constant in part.constants.items()]
        for edited in frame.select(fixed) if fixed else ():
            column = edited.name
            self.losses.note(part, column, present & edited, Degradation.NO_PLACE, FIXED)

    def _judge_presence(self, part: PartPlan, present: pl.Series) -> None:
        if part.rule.when is None:
            self.losses.note(part, "", ~present, Degradation.NO_PLACE, ALWAYS_THERE)
            return
        legacy = part.rule.when.column
        if legacy not in self.rows.columns:
            return
        shown = self.rows.select(holds(part.rule.when)).to_series()
        for rows, cause in ((present & ~shown, NOT_SHOWN), (~present & shown, STILL_SHOWN)):
            self.losses.note(part, "", rows, Degradation.NO_PLACE, cause, legacy=legacy)


def _find_differing(current: Current, rows: pl.DataFrame) -> dict[str, pl.Series]:
    """Read the written rows, and tell by value where they say something else than what stands now."""
    lenses = current.compiled.lenses
    if not lenses:
        return {}
    read = read_lenses(lenses, rows, Lane.AUTO).select(current.board.columns)
    both = pl.concat([read, stand_now(current.board)], how="horizontal")
    differs = both.select(pl.col(name).ne_missing(pl.col(NOW + name)) for name in current.board.columns)
    return {column.name: column for column in differs if column.any()}


def list_losses(current: Current, rows: pl.DataFrame, lookups: Lookups, refused: Losses) -> pl.DataFrame:
    """List every edit that the written rows do not show: what was refused, and what reads back otherwise."""
    judge = _Judge(current, rows, lookups, refused, _find_differing(current, rows))
    for part in current.compiled.parts:
        judge.judge_part(part)
    if not refused.found:
        return pl.DataFrame(schema=DEGRADED)
    listed = pl.concat(refused.found)
    return (
        listed.with_columns(
            current.source_keys.gather(listed["place"]).alias("source_key"),
            current.main_ids.gather(listed["place"]).alias("main_id"),
        )
        .sort("place", maintain_order=True)
        .select(list(DEGRADED))
        .cast(DEGRADED)  # type: ignore[arg-type]
    )
