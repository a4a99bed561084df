"""The ways to run the programs of lenses: field by field on all rows, once for each distinct value, or all fused.

All run the same elementwise expressions, so the plain way is the oracle of the fast ones.
"""

from collections.abc import Callable, Sequence
from enum import Enum

import polars as pl
import pyarrow.compute as pc

from mappings.plans import NUL, LensPlan
from mappings.programs import fuse

SAMPLE = 1000
SMALL = 512
"""Below this many rows what a call costs counts for more than the rows: all fields run as one program."""


class Lane(Enum):
    """How an expression is run over a frame of raw columns."""

    PLAIN = "plain"
    DISTINCT = "distinct"
    FUSED = "fused"
    AUTO = "auto"

    def is_fused(self, height: int) -> bool:
        """Tell whether the fields of so many rows run as one program."""
        return self is Lane.FUSED or (self is Lane.AUTO and height < SMALL)


def run_in_lane(raws: pl.DataFrame, run: Callable[[pl.DataFrame], pl.DataFrame], lane: Lane) -> pl.DataFrame:
    """Run an elementwise computation over raw columns, by distinct value where that is cheaper."""
    if lane in (Lane.PLAIN, Lane.FUSED) or raws.width != 1 or (lane is Lane.AUTO and raws.height < SMALL):
        return run(raws)
    column = raws.to_series()
    if lane is Lane.AUTO and not _repeats(column):
        return run(raws)
    texts = column.to_arrow(compat_level=pl.CompatLevel.oldest())
    encoded = pc.dictionary_encode(texts, null_encoding="encode")
    if lane is Lane.AUTO and len(encoded.dictionary) * 2 > raws.height:
        return run(raws)
    distinct = pl.Series(column.name, encoded.dictionary, dtype=pl.String)
    places = pl.Series("place", encoded.indices)
    return run(distinct.to_frame()).select(pl.all().gather(pl.lit(places)))


def _repeats(column: pl.Series) -> bool:
    """Tell by a sample whether a column says the same often enough for the detour to pay."""
    sample = column.gather_every(max(1, len(column) // SAMPLE))
    return sample.n_unique() * 4 < len(sample) * 3


def silence_all(plans: Sequence[LensPlan], board: pl.DataFrame) -> pl.DataFrame:
    """Reject, in each field, the cells that hold the character NUL; most batches have none and pay one look."""
    plans = [plan for plan in plans if not plan.reads_nul]
    columns = list(dict.fromkeys(column for plan in plans for column in plan.rule.sources))
    if not columns:
        return board
    holds_nul = board.select(pl.col(columns).str.contains(NUL, literal=True).any()).row(0)
    faulty = {column for column, holds in zip(columns, holds_nul, strict=True) if holds}
    for plan in plans:
        if faulty.intersection(plan.rule.sources):
            board = plan.silence(board)
    return board


def read_lenses(plans: Sequence[LensPlan], raws: pl.DataFrame, lane: Lane) -> pl.DataFrame:
    """Read the raw columns of several fields: the answers of all, side by side."""
    if not plans:
        return raws.select()
    if lane.is_fused(raws.height):
        return silence_all(plans, fuse(plan.reading for plan in plans).run(raws))
    frames = [run_in_lane(raws.select(plan.rule.sources), plan.look, lane) for plan in plans]
    return pl.concat(frames, how="horizontal")


def come_and_go(plans: Sequence[LensPlan], raws: pl.DataFrame, lane: Lane) -> pl.DataFrame:
    """Read the raw columns of several fields and write them again, beside the raw columns themselves."""
    if lane.is_fused(raws.height):
        return silence_all(plans, fuse(plan.round_trip for plan in plans).run(raws))
    frames = [run_in_lane(raws.select(plan.rule.sources), plan.come_and_go, lane) for plan in plans]
    return pl.concat([raws, *frames], how="horizontal")


def write_lenses(plans: Sequence[LensPlan], values: pl.DataFrame, lane: Lane) -> pl.DataFrame:
    """Write the values of several fields: raw texts and refusals of all, beside the values themselves."""
    if lane.is_fused(values.height):
        return fuse(plan.writing for plan in plans).run(values)
    frames = [plan.put(values) for plan in plans]
    return pl.concat([values, *frames], how="horizontal")
