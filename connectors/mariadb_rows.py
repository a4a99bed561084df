"""Rows of a legacy MariaDB by their keys, on a connection that may stand in a transaction."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import polars as pl

from banyan.records import KEY_SEPARATOR
from connectors.dialects_mariadb import Bound, MariaDBShape, select_keys
from connectors.dialects_mariadb_bytes import GAPS, value_of
from connectors.mariadb_connection import RAW_SETTINGS, Connection, ask, read_rows

_KEYS: Final = 1_000


def read_keyed(connection: Connection, shape: MariaDBShape, keys: Sequence[str]) -> pl.DataFrame:
    """Read rows by the exact text of their key; what a collation only takes for equal is left out."""
    names = [column.name for column in shape.columns]
    wanted = pl.Series("key", list(dict.fromkeys(keys)), dtype=pl.String)
    frames = [pl.DataFrame(schema=dict.fromkeys(names, pl.String))]
    for part in wanted.to_frame().iter_slices(_KEYS):
        bound: Bound = select_keys(shape, part["key"].to_list())
        frames.append(read_rows(connection, bound, names))
    rows = pl.concat(frames)
    return rows.filter(key_text_of(shape).is_in(wanted.implode()))


def key_text_of(shape: MariaDBShape) -> pl.Expr:
    """Give the text of the key of each row."""
    return pl.concat_str([pl.col(name) for name in shape.key], separator=KEY_SEPARATOR)


@contextmanager
def raw_zone(connection: Connection, zone: str) -> Iterator[None]:
    """Work in the time zone of the raw form for this only: legacy triggers must see that of their own server."""
    ask(connection, RAW_SETTINGS[0])
    try:
        yield
    finally:
        ask(connection, "set time_zone = %s", (zone,))


def values_of(shape: MariaDBShape, rows: pl.DataFrame) -> Iterator[tuple[object, ...]]:
    """Give what is bound for each row of raw texts: where a cell is carried as its bytes, these."""
    letters = [shape.types[name].letters for name in rows.columns]
    if GAPS.keys().isdisjoint(letters):
        return rows.iter_rows()
    return (tuple(map(value_of, row, letters)) for row in rows.iter_rows())
