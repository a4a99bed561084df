"""Reading the fields of live rows: values, what would be lost on the way back, and what cannot be carried."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import assert_never

import numpy as np
import polars as pl

from mappings.compile import Compiled
from mappings.judging import carried_name, lost_text, present_name, referred_name
from mappings.lanes import Lane, come, come_and_go
from mappings.lenses.lens import Objection
from mappings.model import FieldRule, Severity
from mappings.outcomes import REJECTED_FIELDS
from mappings.plans import CAUSE, LensPlan, PartPlan, ReferencePlan, SiblingPlan


@dataclass(slots=True)
class Reading:
    """The live rows of a batch as their fields are read."""

    live: pl.DataFrame
    present: dict[str, pl.Series] = field(default_factory=dict)
    values: dict[str, dict[str, pl.Series]] = field(default_factory=dict)
    referred: dict[tuple[str, str], pl.Series] = field(default_factory=dict)
    """By part and canonical column: the key of the row that a reference leads to."""
    lost: dict[str, pl.Series] = field(default_factory=dict)
    """For each source column that a field writes back: whether the raw text would not come back."""
    carried: dict[str, pl.Series] = field(default_factory=dict)
    """For each source column that no field writes back: whether it holds a text."""
    rejected: list[pl.DataFrame] = field(default_factory=list)
    warned: list[pl.DataFrame] = field(default_factory=list)
    blocking: list[pl.DataFrame] = field(default_factory=list)

    def take(self, part: PartPlan, board: pl.DataFrame, *, is_losing: bool) -> None:
        """Take what was read of one part off the board; `is_losing`: what its rows would lose stands there too."""
        name = part.rule.name
        self.present[name] = board[present_name(part)]
        self.values[name] = {
            output.name: board[plan.names.value(number)]
            for plan in part.lenses
            for number, output in enumerate(plan.outputs)
        }
        for plan in part.fields:
            if is_losing and not isinstance(plan, SiblingPlan):
                self.lost |= {column: board[lost_text(column)] for column in plan.owned}
            if isinstance(plan, ReferencePlan):
                self.referred[name, plan.output] = board[referred_name(part, plan)]
        for plan in part.lenses:
            self._note_causes(plan, board, self.present[name])

    def _note_causes(self, plan: LensPlan, board: pl.DataFrame, present: pl.Series) -> None:
        names, height = plan.names, board.height
        if board[names.fault].null_count() < height:
            noted = self._note(plan.rule, present, board[names.fault], plan.objections)
            match plan.rule.severity:
                case Severity.FIELD:
                    self.rejected.append(noted)
                case Severity.WARN:
                    self.warned.append(noted)
                case Severity.ROW:
                    self.blocking.append(noted)
                case _:
                    assert_never(plan.rule.severity)
        if board[names.event].null_count() < height:
            self.warned.append(self._note(plan.rule, present, board[names.event], plan.events))

    def _note(
        self, rule: FieldRule, present: pl.Series, number: pl.Series, objections: Sequence[Objection]
    ) -> pl.DataFrame:
        found = number.to_numpy()
        places = np.flatnonzero(present.to_numpy() & ~np.isnan(found))
        told = [objections[int(objection)] for objection in found[places]]
        raws = [self.live[column][places] for column in rule.sources]
        raw = raws[0]
        for source, other in enumerate(raws[1:], 1):
            raw = other.zip_with(pl.Series([objection.source == source for objection in told]), raw)
        return pl.DataFrame(
            [
                pl.Series("place", places, dtype=pl.UInt32),
                pl.Series("column", [rule.sources[objection.source] for objection in told], dtype=pl.String),
                pl.Series(CAUSE, [objection.cause for objection in told], dtype=pl.String),
                raw.alias("raw"),
            ]
        )

    def loads(self) -> pl.Series:
        """Tell which live rows are loaded: those that are not rejected whole."""
        if not self.blocking:
            return pl.Series([True]).new_from_index(0, self.live.height)
        return self._blocking_cause().is_null()

    def refused(self) -> pl.DataFrame:
        """List the live rows that are rejected whole, with the first cause: source_key, cause."""
        if not self.blocking:
            return pl.DataFrame(schema={"source_key": pl.String, CAUSE: pl.String})
        told = pl.DataFrame({"source_key": self.live["source_key"], CAUSE: self._blocking_cause()})
        return told.drop_nulls(CAUSE)

    def _blocking_cause(self) -> pl.Series:
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


def read_rows(compiled: Compiled, live: pl.DataFrame, lane: Lane, *, is_losing: bool = True) -> Reading:
    """Read the fields that lenses answer, and with `is_losing` note what would be lost on the way back."""
    if is_losing:
        board = come_and_go(compiled.lenses, live, lane).with_columns(compiled.judging)
        reading = Reading(live, carried={column: board[carried_name(column)] for column in compiled.carried})
    else:
        board, reading = come(compiled.lenses, live, lane).with_columns(compiled.placing), Reading(live)
    for part in compiled.parts:
        reading.take(part, board, is_losing=is_losing)
    return reading


def lost_name(number: int) -> str:
    """Name the column that tells whether a source column's raw text would be lost."""
    return f"lost{number}"


def there_and_back(plan: LensPlan, raws: pl.DataFrame) -> pl.DataFrame:
    """Read raw columns by themselves, write them again, and tell for each whether its raw text would be lost."""
    board = plan.silence(plan.round_trip.run(raws))
    lost = (pl.col(name).alias(lost_name(number)) for number, name in enumerate(plan.losses))
    return plan.tell(board).hstack(board.select(*lost))
