"""Identifiers of canonical rows: computed from where a row comes from, so that they need no index and no counter.

The identifier of a part is `uuid.uuid5(NAMESPACE, name)`, as 16 bytes, where name is
`<department>.<system>|<table>|<key>|<key epoch>|<part>`. Rows born in the target keep the identifier they were born
with: a list of adopted keys overrides the computed one.
"""

import uuid

import polars as pl
import polars_hash  # noqa: F401  (registers the namespace `uuidhash`)

from mappings.unhex import unhex

NAMESPACE = uuid.UUID("5ec1a37e-1d2b-5f06-9a0b-6b616e79616e")
"""Frozen: to change it is to lose every identifier ever given."""

FIRST_EPOCH = 0
_WIDTH = 36
_DIGITS = tuple(place for place in range(_WIDTH) if place not in (8, 13, 18, 23))
"""Where the digits stand in a written UUID, its hyphens left out."""
FEW = 64
"""Below this many rows a call of Polars costs more than the standard library, row by row."""
KEY, EPOCH, IDENTIFIER = "key", "epoch", "id"


def uuid5_of(names: pl.Expr) -> pl.Expr:
    """Compute the version 5 UUID of each name as 16 bytes; null stays null."""
    written: pl.Expr = names.uuidhash.uuid5(str(NAMESPACE))  # type: ignore[attr-defined]
    return written.map_batches(_as_bytes, return_dtype=pl.Binary, is_elementwise=True)


def _as_bytes(written: pl.Series) -> pl.Series:
    return unhex(written, width=_WIDTH, digits=_DIGITS)


def reference_uuid5(source: str, table: str, part: str, *, key: str, epoch: int = FIRST_EPOCH) -> bytes:
    """Compute one identifier with the standard library, row by row: what the vectorised one must equal."""
    return uuid.uuid5(NAMESPACE, f"{source}|{table}|{key}|{epoch}|{part}").bytes


def _names(keys: pl.DataFrame, source: str, table: str, part: str) -> pl.Expr:
    epochs = keys[EPOCH]
    epoch = pl.lit(str(epochs.first())) if epochs.min() == epochs.max() else pl.col(EPOCH).cast(pl.String)
    return pl.concat_str([pl.lit(f"{source}|{table}|"), pl.col(KEY), pl.lit("|"), epoch, pl.lit(f"|{part}")])


def _compute_each(keys: pl.DataFrame, *, source: str, table: str, part: str) -> pl.Series:
    told = (
        None if key is None else reference_uuid5(source, table, part, key=key, epoch=epoch)
        for key, epoch in zip(keys[KEY].to_list(), keys[EPOCH].to_list(), strict=True)
    )
    return pl.Series("computed", list(told), dtype=pl.Binary)


def identify(keys: pl.DataFrame, *, source: str, table: str, part: str, adopted: pl.DataFrame | None) -> pl.Series:
    """Give the identifier of one part for each row of `keys` (columns `key`, `epoch`); adopted ones first."""
    if keys.height < FEW:
        computed = _compute_each(keys, source=source, table=table, part=part)
    else:
        computed = keys.select(uuid5_of(_names(keys, source, table, part))).to_series()
    if adopted is None or adopted.is_empty():
        return computed.alias(IDENTIFIER)
    joined = pl.DataFrame({KEY: keys[KEY], "computed": computed}).join(
        adopted.select(KEY, pl.col(IDENTIFIER)), on=KEY, how="left", maintain_order="left", validate="m:1"
    )
    return joined.select(pl.coalesce(IDENTIFIER, "computed").alias(IDENTIFIER)).to_series()
