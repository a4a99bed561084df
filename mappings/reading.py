"""Reading the fields of live rows: values, what would be lost on the way back, and what cannot be carried."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import assert_never

import polars as pl

from mappings.fate_masks import holds
from mappings.lanes import Lane, run_in_lane
from mappings.model import FieldRule, Severity
from mappings.outcomes import REJECTED_FIELDS
from mappings.plans import (
    AT,
    CAUSE,
    EVENT,
    EVENT_AT,
    REFUSED,
    LensPlan,
    PartPlan,
    ReferencePlan,
    SiblingPlan,
    raw_name,
    value_name,
)


@dataclass(slots=True)
class Reading:
    """The live rows of a batch as their fields are read, part by part."""

    live: pl.DataFrame
    lane: Lane
    present: dict[str, pl.Series] = field(default_factory=dict)
    values: dict[str, dict[str, pl.Series]] = field(default_factory=dict)
    lost: dict[str, pl.Series] = field(default_factory=dict)
    """For each source column that a field writes back: whether the raw text would not come back."""
    rejected: list[pl.DataFrame] = field(default_factory=list)
    warned: list[pl.DataFrame] = field(default_factory=list)
    blocking: list[pl.DataFrame] = field(default_factory=list)

    def read_part(self, part: PartPlan) -> None:
        """Read the fields of one part that lenses answer, and note what would be lost on the way back."""
        name, when = part.rule.name, part.rule.when
        self.present[name] = (
            self.live.select(holds(when)).to_series() if when else pl.repeat(value=True, n=self.live.height, eager=True)
        )
        self.values[name] = {}
        for plan in part.fields:
            match plan:
                case LensPlan():
                    self._read_lens(plan, name)
                case ReferencePlan():
                    self._note_reference(plan, self.present[name])
                case SiblingPlan():
                    pass
                case _:
                    assert_never(plan)

    def _read_lens(self, plan: LensPlan, part: str) -> None:
        raws = self.live.select(plan.rule.sources)
        read = run_in_lane(raws, lambda distinct: there_and_back(plan, distinct), self.lane)
        for number, output in enumerate(plan.outputs):
            self.values[part][output.name] = read[value_name(number)]
        present = self.present[part]
        for column in plan.owned:
            lost = read[lost_name(plan.rule.sources.index(column))]
            self.lost[column] = (present & lost) | (~present & self.live[column].is_not_null())
        self._note_causes(plan.rule, read, present)

    def _note_reference(self, plan: ReferencePlan, present: pl.Series) -> None:
        """A key comes back from its identifier; blanks, which refer to nothing, do not."""
        refers = self.live.select(plan.key().is_not_null()).to_series()
        for column in plan.owned:
            self.lost[column] = self.live[column].is_not_null() & ~(refers & present)

    def _note_causes(self, rule: FieldRule, read: pl.DataFrame, present: pl.Series) -> None:
        if read[CAUSE].null_count() < read.height:
            noted = self._note(rule, present, read[CAUSE], read[AT])
            match rule.severity:
                case Severity.FIELD:
                    self.rejected.append(noted)
                case Severity.WARN:
                    self.warned.append(noted)
                case Severity.ROW:
                    self.blocking.append(noted)
                case _:
                    assert_never(rule.severity)
        if read[EVENT].null_count() < read.height:
            self.warned.append(self._note(rule, present, read[EVENT], read[EVENT_AT]))

    def _note(self, rule: FieldRule, present: pl.Series, cause: pl.Series, at: pl.Series) -> pl.DataFrame:
        raw, column = pl.lit(None, dtype=pl.String), pl.lit(None, dtype=pl.String)
        for number, name in enumerate(rule.sources):
            raw = pl.when(pl.col(AT) == number).then(pl.col(name)).otherwise(raw)
            column = pl.when(pl.col(AT) == number).then(pl.lit(name)).otherwise(column)
        return (
            self.live.select(rule.sources)
            .select(pl.all(), cause.alias(CAUSE), at.alias(AT))
            .with_row_index("place")
            .filter(present & cause.is_not_null())
            .select("place", column.alias("column"), CAUSE, raw.alias("raw"))
        )

    def blocking_cause(self) -> pl.Series:
        """Give, for each live row, the cause for which it is rejected whole, or null."""
        if not self.blocking:
            return pl.repeat(None, self.live.height, dtype=pl.String, eager=True)
        told = pl.concat(self.blocking).select("place", pl.concat_str("column", pl.lit(": "), CAUSE).alias(CAUSE))
        first = told.unique("place", keep="first", maintain_order=True)
        places = self.live.select("source_key").with_row_index("place")
        return places.join(first, on="place", how="left", maintain_order="left")[CAUSE]

    def list_fields(self, noted: Sequence[pl.DataFrame], loads: pl.Series) -> pl.DataFrame:
        """List noted fields of the rows that are loaded, with their raw text."""
        if not noted:
            return pl.DataFrame(schema=REJECTED_FIELDS)
        listed = pl.concat(noted)
        return (
            listed.with_columns(self.live["source_key"].gather(listed["place"]).alias("source_key"))
            .filter(loads.gather(listed["place"]))
            .select(list(REJECTED_FIELDS))
        )


def lost_name(number: int) -> str:
    """Name the column that tells whether a source column's raw text would be lost."""
    return f"lost{number}"


def there_and_back(plan: LensPlan, raws: pl.DataFrame) -> pl.DataFrame:
    """Read raw columns, write them again, and tell for each of them whether its raw text would be lost."""
    read = plan.read(raws)
    written = plan.write(read)
    held_back = read[CAUSE].is_not_null() | read[EVENT].is_not_null() | written[REFUSED].is_not_null()
    lost = [
        (held_back | written[raw_name(number)].ne_missing(raws[column])).alias(lost_name(number))
        for number, column in enumerate(plan.rule.sources)
    ]
    return read.with_columns(lost)
