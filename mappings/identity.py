"""Identifiers of canonical rows: computed from where a row comes from, so that they need no index and no counter.

The identifier of a part is `uuid.uuid5(NAMESPACE, name)`, as 16 bytes, where name is
`<department>.<system>|<table>|<key>|<key epoch>|<part>`. Rows born in the target keep the identifier they were born
with: a list of adopted keys overrides the computed one.
"""

import uuid

import polars as pl
import polars_hash  # noqa: F401  (registers the namespace `uuidhash`)

NAMESPACE = uuid.UUID("5ec1a37e-1d2b-5f06-9a0b-6b616e79616e")
"""Frozen: to change it is to lose every identifier ever given."""

FIRST_EPOCH = 0
KEY, EPOCH, IDENTIFIER = "key", "epoch", "id"


def uuid5_of(names: pl.Expr) -> pl.Expr:
    """Compute the version 5 UUID of each name as 16 bytes; null stays null."""
    written: pl.Expr = names.uuidhash.uuid5(str(NAMESPACE))  # type: ignore[attr-defined]
    return written.str.replace_all("-", "", literal=True).str.decode("hex")


def reference_uuid5(source: str, table: str, part: str, *, key: str, epoch: int = FIRST_EPOCH) -> bytes:
    """Compute one identifier with the standard library, row by row: what the vectorised one must equal."""
    return uuid.uuid5(NAMESPACE, f"{source}|{table}|{key}|{epoch}|{part}").bytes


def identify(keys: pl.DataFrame, *, source: str, table: str, part: str, adopted: pl.DataFrame | None) -> pl.Series:
    """Give the identifier of one part for each row of `keys` (columns `key`, `epoch`); adopted ones first."""
    epochs = keys[EPOCH]
    epoch = pl.lit(str(epochs.first())) if epochs.min() == epochs.max() else pl.col(EPOCH).cast(pl.String)
    name = pl.concat_str([pl.lit(f"{source}|{table}|"), pl.col(KEY), pl.lit("|"), epoch, pl.lit(f"|{part}")])
    computed = keys.select(pl.col(KEY), uuid5_of(name).alias("computed"))
    if adopted is None or adopted.is_empty():
        return computed["computed"].rename(IDENTIFIER)
    joined = computed.join(
        adopted.select(KEY, pl.col(IDENTIFIER)), on=KEY, how="left", maintain_order="left", validate="m:1"
    )
    return joined.select(pl.coalesce(IDENTIFIER, "computed").alias(IDENTIFIER)).to_series()
