"""The two ways to run a lens over a column: on all rows, or once for each distinct value.

Both run the same elementwise expressions, so the plain way is the oracle of the fast one.
"""

from collections.abc import Callable
from enum import Enum

import polars as pl
import pyarrow.compute as pc

SMALL = 512
"""Below this many rows the detour costs more than it saves."""


class Lane(Enum):
    """How an expression is run over a frame of raw columns."""

    PLAIN = "plain"
    DISTINCT = "distinct"
    AUTO = "auto"


def run_in_lane(raws: pl.DataFrame, run: Callable[[pl.DataFrame], pl.DataFrame], lane: Lane) -> pl.DataFrame:
    """Run an elementwise computation over raw columns, by distinct value where that is cheaper."""
    if lane is Lane.PLAIN or raws.width != 1 or (lane is Lane.AUTO and raws.height < SMALL):
        return run(raws)
    column = raws.to_series()
    texts = column.to_arrow(compat_level=pl.CompatLevel.oldest())
    encoded = pc.dictionary_encode(texts, null_encoding="encode")
    if lane is Lane.AUTO and len(encoded.dictionary) * 2 > raws.height:
        return run(raws)
    distinct = pl.Series(column.name, encoded.dictionary, dtype=pl.String)
    places = pl.Series("place", encoded.indices)
    return run(distinct.to_frame()).select(pl.all().gather(pl.lit(places)))
