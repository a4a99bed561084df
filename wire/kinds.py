"""How canonical kinds look in Polars and in PostgreSQL."""

import polars as pl

from banyan.canonical.columns import Kind

POLARS_TYPES: dict[Kind, pl.DataType] = {
    Kind.UUID: pl.Binary(),
    Kind.TEXT: pl.String(),
    Kind.DATE: pl.Date(),
    Kind.INSTANT: pl.Datetime("us", "UTC"),
    Kind.SMALLINT: pl.Int16(),
    Kind.INTEGER: pl.Int32(),
    Kind.BIGINT: pl.Int64(),
    Kind.NUMERIC: pl.Decimal(18, 4),
    Kind.BOOLEAN: pl.Boolean(),
    Kind.DOUBLE: pl.Float64(),
    Kind.BYTES: pl.Binary(),
}
"""The Polars type that carries each kind; a UUID travels as its 16 bytes."""
