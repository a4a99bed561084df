"""Binding a lens to the columns and types of a field: from what the lens says, the programs of its two directions."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from banyan.undecoded import NOT_DECODED
from mappings.lenses.lens import Backward, Forward, Objection, Refusal
from mappings.model import FieldRule
from mappings.plans import HOLDS_NUL, FieldNames, LensPlan, OutputPlan
from mappings.programs import layered

OUT_OF_RANGE = "outside the range of the canonical column"
_EXACT = (pl.String(), pl.Boolean(), pl.Date(), pl.Datetime("us", "UTC"), pl.Binary())
"""Types that a lens yields as they are; a number may not fit its column."""


@dataclass(frozen=True, slots=True)
class _Binding:
    rule: FieldRule
    outputs: tuple[OutputPlan, ...]
    names: FieldNames
    forward: Forward
    backward: Backward

    def reading(self) -> tuple[list[pl.Expr], tuple[Objection, ...]]:
        """Give the expressions that read, and what they object to."""
        names, rejections, count = self.names, self.forward.rejections, range(len(self.outputs))
        narrow = [number for number in count if self.outputs[number].dtype not in _EXACT]
        late, cast = [], []
        values = [self.forward.values[number] for number in count]
        for number in narrow:
            native, fitted = names.own(f"native{number}"), names.own(f"fitted{number}")
            cast += [
                values[number].alias(native),
                pl.col(native).cast(self.outputs[number].dtype, strict=False).alias(fitted),
            ]
            values[number] = pl.col(fitted)
            late.append(Objection(pl.col(native).is_not_null() & pl.col(fitted).is_null(), OUT_OF_RANGE))
        objections = (*rejections, *late)
        stands, event = pl.col(names.fault).is_null(), _first(self.forward.events)
        if objections:
            values = [pl.when(stands).then(value) for value in values]
        if objections and self.forward.events:
            event = pl.when(stands).then(event)
        named = [value.alias(names.value(number)) for number, value in enumerate(values)]
        return [
            *self.forward.steps,
            *cast,
            _first(objections).alias(names.fault),
            *named,
            event.alias(names.event),
        ], objections

    def writing(self) -> list[pl.Expr]:
        """Give the expressions that write."""
        raws = [raw.alias(self.names.raw(number)) for number, raw in enumerate(self.backward.raws)]
        return [*self.backward.steps, *raws, _first(self.backward.refusals).alias(self.names.refusal)]

    def losing(self, objections: Sequence[Objection]) -> list[pl.Expr]:
        """Give the expressions that tell whether each raw text would be lost; what is verbatim needs no comparison."""
        names = self.names
        reasons = [
            (names.fault, objections),
            (names.event, self.forward.events),
            (names.refusal, self.backward.refusals),
        ]
        held_back = [pl.col(name).is_not_null() for name, causes in reasons if causes]
        lost = []
        for number, column in enumerate(self.rule.sources):
            differs = [] if self._is_verbatim(number) else [pl.col(names.raw(number)).ne_missing(pl.col(column))]
            terms = [*held_back, *differs]
            lost.append((pl.any_horizontal(terms) if terms else pl.lit(value=False)).alias(names.lost(number)))
        return lost

    def _is_verbatim(self, number: int) -> bool:
        source, value = pl.col(self.rule.sources[number]), pl.col(self.names.value(0))
        return self.forward.values[0].meta.eq(source) and self.backward.raws[number].meta.eq(value)


def bind_lens(
    rule: FieldRule,
    outputs: tuple[OutputPlan, ...],
    *,
    names: FieldNames,
    owned: tuple[str, ...],
    directions: tuple[Forward, Backward],
) -> LensPlan:
    """Make the plan of a field out of what its lens says."""
    forward, backward = directions
    binding = _Binding(rule, outputs, names, forward, backward)
    reading, objections = binding.reading()
    writing = binding.writing()
    no_text = tuple(Objection(pl.lit(value=False), NOT_DECODED, number) for number in range(len(rule.sources)))
    nul = tuple(Objection(pl.lit(value=False), HOLDS_NUL, number) for number in range(len(rule.sources)))
    return LensPlan(
        rule=rule,
        outputs=outputs,
        owned=owned,
        names=names,
        objections=(*objections, *no_text, *nul),
        events=forward.events,
        refusals=backward.refusals,
        reading=layered(reading),
        writing=layered(writing),
        round_trip=layered([*reading, *writing, *binding.losing(objections)]),
    )


def _first(reasons: Sequence[Objection | Refusal]) -> pl.Expr:
    """Give the number of the first reason that holds, or null."""
    number: pl.Expr = pl.lit(None, dtype=pl.UInt8)
    for place, reason in reversed(list(enumerate(reasons))):
        number = pl.when(reason.mask).then(pl.lit(place, dtype=pl.UInt8)).otherwise(number)
    return number
