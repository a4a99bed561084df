"""The ways to run the programs of lenses: field by field on all rows, once for each distinct value, or all fused.

All run the same elementwise expressions, so the plain way is the oracle of the fast ones. Fields whose columns say few
distinct values are fused over these: side by side, the shorter columns end in nulls that nobody asks for.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum

import polars as pl
import pyarrow.compute as pc

from banyan.undecoded import MARK
from mappings.plans import NUL, LensPlan
from mappings.programs import Program, fuse

SAMPLE = 1000
SMALL = 512
"""Below this many rows what a call costs counts for more than the rows: all fields run as one program."""
FEW_VALUES = 4096
"""Up to so many distinct values, the fields of several columns run as one program."""


class Lane(Enum):
    """How an expression is run over a frame of raw columns."""

    PLAIN = "plain"
    DISTINCT = "distinct"
    FUSED = "fused"
    AUTO = "auto"

    def is_fused(self, height: int) -> bool:
        """Tell whether the fields of so many rows run as one program."""
        return self is Lane.FUSED or (self is Lane.AUTO and height < SMALL)


@dataclass(frozen=True, slots=True)
class _Said:
    """What a column says, each text once, and which of them each row says."""

    distinct: pl.Series = field(repr=False)
    places: pl.Series = field(repr=False)

    @classmethod
    def find(cls, column: pl.Series, lane: Lane) -> "_Said | None":
        """Take a column apart; None where that costs more than it saves."""
        if lane is Lane.AUTO and (len(column) < SMALL or not _repeats(column)):
            return None
        texts = column.to_arrow(compat_level=pl.CompatLevel.oldest())
        encoded = pc.dictionary_encode(texts, null_encoding="encode")
        if lane is Lane.AUTO and len(encoded.dictionary) * 2 > len(column):
            return None
        return cls(pl.Series(column.name, encoded.dictionary, dtype=pl.String), pl.Series("place", encoded.indices))


def run_in_lane(raws: pl.DataFrame, run: Callable[[pl.DataFrame], pl.DataFrame], lane: Lane) -> pl.DataFrame:
    """Run an elementwise computation over raw columns, by distinct value where that is cheaper."""
    if lane in (Lane.PLAIN, Lane.FUSED) or raws.width != 1:
        return run(raws)
    said = _Said.find(raws.to_series(), lane)
    return run(raws) if said is None else run(said.distinct.to_frame())[said.places]


@dataclass(frozen=True, slots=True)
class _Way:
    """One way through a field: its program, what it answers, and how it runs alone."""

    program: Callable[[LensPlan], Program]
    answers: Callable[[LensPlan], Sequence[str]]
    alone: Callable[[LensPlan, pl.DataFrame], pl.DataFrame]

    def run(self, plans: Sequence[LensPlan], raws: pl.DataFrame, lane: Lane) -> list[pl.DataFrame]:
        """Give the answers of each field: by distinct value where that is cheaper, those with few of them at once."""
        columns = {_column_of(plan) for plan in plans} - {""}
        said = {} if lane is Lane.PLAIN else {name: _Said.find(raws[name], lane) for name in columns}
        alone = {name: one for name, one in said.items() if one is not None and len(one.distinct) > FEW_VALUES}
        few = {name: one for name, one in said.items() if one is not None and name not in alone}
        together = self._fused([plan for plan in plans if _column_of(plan) in few], few)
        frames = []
        for plan in plans:
            name = _column_of(plan)
            if said.get(name) is None:
                frames.append(self.alone(plan, raws.select(plan.rule.sources)))
            elif name in alone:
                frames.append(self.alone(plan, alone[name].distinct.to_frame())[alone[name].places])
            else:
                frames.append(together.select(self.answers(plan))[few[name].places])
        return frames

    def _fused(self, plans: Sequence[LensPlan], few: dict[str, _Said]) -> pl.DataFrame:
        """Run fields over the distinct values of their columns, side by side."""
        if not plans:
            return pl.DataFrame()
        height = max(len(one.distinct) for one in few.values())
        sides = [one.distinct.extend_constant(None, height - len(one.distinct)) for one in few.values()]
        return silence_all(plans, fuse(self.program(plan) for plan in plans).run(pl.DataFrame(sides)))


def _column_of(plan: LensPlan) -> str:
    """Name the only column that a field reads; empty where it reads several."""
    return plan.rule.sources[0] if len(plan.rule.sources) == 1 else ""


def _repeats(column: pl.Series) -> bool:
    """Tell by a sample whether a column says the same often enough for the detour to pay."""
    sample = column.gather_every(max(1, len(column) // SAMPLE))
    return sample.n_unique() * 4 < len(sample) * 3


def silence_all(plans: Sequence[LensPlan], board: pl.DataFrame) -> pl.DataFrame:
    """Reject, in each field, the cells that no lens may read; most batches have none and pay one look."""
    columns = list(dict.fromkeys(column for plan in plans for column in plan.rule.sources))
    if not columns:
        return board
    looked = (pl.col(columns).str.starts_with(MARK) | pl.col(columns).str.contains(NUL, literal=True)).any()
    faulty = {column for column, holds in zip(columns, board.select(looked).row(0), strict=True) if holds}
    for plan in plans:
        if faulty.intersection(plan.rule.sources):
            board = plan.silence(board)
    return board


_LOOK = _Way(lambda plan: plan.reading, lambda plan: plan.answers, LensPlan.look)
_COME_AND_GO = _Way(lambda plan: plan.round_trip, lambda plan: (*plan.answers, *plan.losses), LensPlan.come_and_go)


def read_lenses(plans: Sequence[LensPlan], raws: pl.DataFrame, lane: Lane) -> pl.DataFrame:
    """Read the raw columns of several fields: the answers of all, side by side."""
    if not plans:
        return raws.select()
    if lane.is_fused(raws.height):
        return silence_all(plans, fuse(plan.reading for plan in plans).run(raws))
    return pl.concat(_LOOK.run(plans, raws, lane), how="horizontal")


def come_and_go(plans: Sequence[LensPlan], raws: pl.DataFrame, lane: Lane) -> pl.DataFrame:
    """Read the raw columns of several fields and write them again, beside the raw columns themselves."""
    if lane.is_fused(raws.height):
        return silence_all(plans, fuse(plan.round_trip for plan in plans).run(raws))
    return pl.concat([raws, *_COME_AND_GO.run(plans, raws, lane)], how="horizontal")


def come(plans: Sequence[LensPlan], raws: pl.DataFrame, lane: Lane) -> pl.DataFrame:
    """Read the raw columns of several fields, beside the raw columns themselves."""
    if lane.is_fused(raws.height):
        return silence_all(plans, fuse(plan.reading for plan in plans).run(raws))
    return pl.concat([raws, *_LOOK.run(plans, raws, lane)], how="horizontal")


def write_lenses(plans: Sequence[LensPlan], values: pl.DataFrame, lane: Lane) -> pl.DataFrame:
    """Write the values of several fields: raw texts and refusals of all, beside the values themselves."""
    if lane.is_fused(values.height):
        return fuse(plan.writing for plan in plans).run(values)
    frames = [plan.put(values) for plan in plans]
    return pl.concat([values, *frames], how="horizontal")
