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
        count = len(self.outputs)
        native = [self.forward.values[number].alias(f"n{number}") for number in range(count)]
        canonical = [
            pl.col(f"n{number}").cast(output.dtype, strict=False).alias(f"c{number}")
            for number, output in enumerate(self.outputs)
        ]
        overflow = [
            Objection(pl.col(f"n{number}").is_not_null() & pl.col(f"c{number}").is_null(), OUT_OF_RANGE)
            for number in range(count)
        ]
        nul = [
            Objection(pl.col(column).str.contains(NUL, literal=True), HOLDS_NUL, number)
            for number, column in enumerate(self.rule.sources)
        ]
        cause, at = _first_objection((*nul, *self.forward.rejections))
        late, late_at = _first_objection(overflow)
        event, event_at = _first_objection(self.forward.events)
        rejected = pl.col(CAUSE).is_not_null()
        return (
            raws.lazy()
            .select(*native, cause.alias("early"), at.alias("early_at"), event.alias("noted"), event_at.alias(EVENT_AT))
            .with_columns(*canonical)
            .with_columns(pl.coalesce("early", late).alias(CAUSE), pl.coalesce("early_at", late_at).alias(AT))
            .select(
                *(pl.when(~rejected).then(pl.col(f"c{number}")).alias(value_name(number)) for number in range(count)),
                CAUSE,
                AT,
                pl.when(~rejected).then(pl.col("noted")).alias(EVENT),
                EVENT_AT,
            )
            .collect()
        )

    def write(self, values: pl.DataFrame) -> pl.DataFrame:
        """Write canonical values `v0..`: `r0..`, and the kind and cause of a refusal, or null."""
        refused, cause = _first_refusal(self.backward.refusals)
        raws = [raw.alias(raw_name(number)) for number, raw in enumerate(self.backward.raws)]
        return values.lazy().select(*raws, refused.alias(REFUSED), cause.alias(REFUSED_CAUSE)).collect()

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


def _first_objection(objections: Sequence[Objection]) -> tuple[pl.Expr, pl.Expr]:
    """Give the cause and the source number of the first objection that holds."""
    cause, at = pl.lit(None, dtype=pl.String), pl.lit(None, dtype=pl.Int8)
    for objection in reversed(objections):
        cause = pl.when(objection.mask).then(pl.lit(objection.cause)).otherwise(cause)
        at = pl.when(objection.mask).then(pl.lit(objection.source, dtype=pl.Int8)).otherwise(at)
    return cause, at


def _first_refusal(refusals: Sequence[Refusal]) -> tuple[pl.Expr, pl.Expr]:
    """Give the kind and the cause of the first refusal that holds."""
    kind, cause = pl.lit(None, dtype=pl.String), pl.lit(None, dtype=pl.String)
    for refusal in reversed(refusals):
        kind = pl.when(refusal.mask).then(pl.lit(refusal.kind.value)).otherwise(kind)
        cause = pl.when(refusal.mask).then(pl.lit(refusal.cause)).otherwise(cause)
    return kind, cause
