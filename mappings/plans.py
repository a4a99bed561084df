"""A field of a part, ready to run: its lens bound to columns, types and code map, in both directions."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import polars as pl

from banyan.records import KEY_SEPARATOR
from mappings.lenses.lens import Backward, Forward, Objection, Refusal
from mappings.model import FieldRule, PartRule

OUT_OF_RANGE = "outside the range of the canonical column"
HOLDS_NUL = "holds the character NUL, which no canonical text can hold"
NUL = "\x00"

CAUSE, AT, EVENT, EVENT_AT = "cause", "at", "event", "event_at"
REFUSED, REFUSED_CAUSE = "refused", "refused_cause"


def value_name(number: int) -> str:
    """Name the column of an output inside the frames of a plan."""
    return f"v{number}"


def raw_name(number: int) -> str:
    """Name the column of a written raw text inside the frames of a plan."""
    return f"r{number}"


@dataclass(frozen=True, slots=True)
class OutputPlan:
    """One canonical column that a field fills."""

    name: str
    dtype: pl.DataType
    derived: bool = False


@dataclass(frozen=True, slots=True)
class LensPlan:
    """A field answered by a lens."""

    rule: FieldRule
    outputs: tuple[OutputPlan, ...]
    forward: Forward = field(repr=False)
    backward: Backward = field(repr=False)
    owned: tuple[str, ...]
    """The source columns that this field writes back."""

    @property
    def stated(self) -> tuple[int, ...]:
        """Give the numbers of the outputs that are not derived."""
        return tuple(number for number, output in enumerate(self.outputs) if not output.derived)

    def read(self, raws: pl.DataFrame) -> pl.DataFrame:
        """Read raw columns: `v0..`, and the cause and source number of a rejection and of an event, or null."""
        count = range(len(self.outputs))
        nul = tuple(
            Objection(pl.col(column).str.contains(NUL, literal=True), HOLDS_NUL, number)
            for number, column in enumerate(self.rule.sources)
        )
        early = (*nul, *self.forward.rejections)
        late = tuple(
            Objection(pl.col(f"n{number}").is_not_null() & pl.col(f"c{number}").is_null(), OUT_OF_RANGE)
            for number in count
        )
        native = [self.forward.values[number].alias(f"n{number}") for number in count]
        frame = _take_steps(raws, self.forward.steps)
        frame = frame.select(*native, _first(early).alias("early"), _first(self.forward.events).alias("noted"))
        frame = frame.with_columns(
            pl.col(f"n{number}").cast(output.dtype, strict=False).alias(f"c{number}")
            for number, output in enumerate(self.outputs)
        )
        frame = frame.with_columns(pl.coalesce("early", _first(late, start=len(early))).alias("fault"))
        stands = pl.col("fault").is_null()
        noted = pl.when(stands).then("noted")
        return frame.select(
            *(pl.when(stands).then(pl.col(f"c{number}")).alias(value_name(number)) for number in count),
            *_tell(pl.col("fault"), (*early, *late), (CAUSE, AT)),
            *_tell(noted, self.forward.events, (EVENT, EVENT_AT)),
        ).collect()

    def write(self, values: pl.DataFrame) -> pl.DataFrame:
        """Write canonical values `v0..`: `r0..`, and the kind and cause of a refusal, or null."""
        refusals = self.backward.refusals
        raws = [raw.alias(raw_name(number)) for number, raw in enumerate(self.backward.raws)]
        frame = _take_steps(values, self.backward.steps).select(*raws, _first(refusals).alias("refusal"))
        told = (
            _gather([refusal.kind.value for refusal in refusals], pl.col("refusal")).alias(REFUSED),
            _gather([refusal.cause for refusal in refusals], pl.col("refusal")).alias(REFUSED_CAUSE),
        )
        return frame.with_columns(told).drop("refusal").collect()

    def agrees(self, read: pl.DataFrame, current: pl.DataFrame) -> pl.Series:
        """Tell, row by row, whether what was read is what stands now, derived outputs left aside."""
        return same_columns(read, current, [value_name(number) for number in self.stated])


@dataclass(frozen=True, slots=True)
class ReferencePlan:
    """A field answered with the identifier of another legacy row's part."""

    rule: FieldRule
    output: str
    table: str
    part: str
    is_main: bool
    """Whether the part carries the identity of its row: only such identifiers are adopted without a part."""
    owned: tuple[str, ...]

    def key(self) -> pl.Expr:
        """Give the key that the source columns hold; blanks refer to nothing."""
        held = [pl.when(pl.col(column).str.strip_chars(" ") != "").then(pl.col(column)) for column in self.rule.sources]
        return pl.concat_str(held, separator=KEY_SEPARATOR)


@dataclass(frozen=True, slots=True)
class SiblingPlan:
    """A field answered with the identifier of another part of the same row."""

    rule: FieldRule
    output: str
    part: str


FieldPlan = LensPlan | ReferencePlan | SiblingPlan


@dataclass(frozen=True, slots=True)
class PartPlan:
    """One part, ready to run: its fields in order, and the type of each column that it fills."""

    rule: PartRule
    fields: tuple[FieldPlan, ...]
    dtypes: dict[str, pl.DataType]
    constants: dict[str, pl.Expr] = field(repr=False)

    @property
    def owned(self) -> tuple[str, ...]:
        """Give the source columns that the part writes back."""
        return tuple(column for plan in self.fields if not isinstance(plan, SiblingPlan) for column in plan.owned)


def same_columns(left: pl.DataFrame, right: pl.DataFrame, names: Sequence[str]) -> pl.Series:
    """Tell, row by row, whether the named columns are equal in both frames, null being equal to null."""
    same = pl.repeat(value=True, n=left.height, eager=True)
    for name in names:
        same = same & left[name].eq_missing(right[name])
    return same


def _take_steps(frame: pl.DataFrame, steps: Sequence[pl.Expr]) -> pl.LazyFrame:
    lazy = frame.lazy()
    for step in steps:
        lazy = lazy.with_columns(step)
    return lazy


def _first(reasons: Sequence[Objection | Refusal], *, start: int = 0) -> pl.Expr:
    """Give the number of the first reason that holds, counted from `start`, or null."""
    number = pl.lit(None, dtype=pl.UInt32)
    for place, reason in reversed(list(enumerate(reasons, start))):
        number = pl.when(reason.mask).then(pl.lit(place, dtype=pl.UInt32)).otherwise(number)
    return number


def _tell(number: pl.Expr, objections: Sequence[Objection], names: tuple[str, str]) -> tuple[pl.Expr, pl.Expr]:
    """Give the cause and the source number of the objection of that number."""
    cause, at = names
    return (
        _gather([objection.cause for objection in objections], number).alias(cause),
        _gather([objection.source for objection in objections], number).alias(at),
    )


def _gather(told: Sequence[str] | Sequence[int], number: pl.Expr) -> pl.Expr:
    if not told:
        return pl.when(number.is_not_null()).then(pl.lit(None, dtype=pl.String))
    return pl.lit(pl.Series("told", told)).gather(number)
